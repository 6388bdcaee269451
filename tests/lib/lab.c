#include "lab.h"

/* Before netinet/ip_icmp.h, which has macros of the names of its fields. */
#include "bh/node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/buf.h"

#define FRAME_MAX 256u

/* --- set-up, by ip(8) ---------------------------------------------------------- */

/* Feeds @commands to `ip -batch -`, in the holder's namespace if @far. */
static int run_ip(const struct lab *lab, bool far, const char *commands, struct bh_err *err)
{
	char line[128];
	FILE *ip;

	if (far)
		snprintf(line, sizeof(line), "nsenter -t %d -n ip -batch -", (int)lab->holder);
	else
		snprintf(line, sizeof(line), "ip -batch -");
	ip = popen(line, "we");
	if (!ip)
		return bh_err_wrap(err, -errno, "ip");
	fputs(commands, ip);
	if (pclose(ip) != 0)
		return bh_err(err, -EIO, "ip failed at one of: %.120s", commands);
	return 0;
}

static int set_sysctl(const char *path, const char *value, struct bh_err *err)
{
	bh_auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		return bh_err_wrap(err, -errno, "%s", path);
	return 0;
}

static int set_sysctls(struct bh_err *err)
{
	static const char *const t[][2] = {
		{ "/proc/sys/net/ipv4/conf/all/rp_filter", "0" },
		{ "/proc/sys/net/ipv4/conf/default/rp_filter", "0" },
		{ "/proc/sys/net/ipv4/ip_forward", "1" },
		{ "/proc/sys/net/ipv6/conf/all/forwarding", "1" },
		{ "/proc/sys/net/ipv6/conf/default/accept_dad", "0" },
		{ "/proc/sys/net/ipv4/icmp_ratelimit", "0" },
		{ "/proc/sys/net/ipv6/icmp/ratelimit", "0" },
	};
	size_t i;
	int r;

	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		r = set_sysctl(t[i][0], t[i][1], err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A process in a network namespace of its own, which lives as long as it does. */
static int start_holder(struct lab *lab, struct bh_err *err)
{
	int ready[2];
	char c = 0;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return bh_err_wrap(err, -errno, "pipe");
	lab->holder = fork();
	if (lab->holder == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		c = unshare(CLONE_NEWNET) == 0 && !set_sysctl("/proc/sys/net/ipv6/conf/default/"
							      "disable_ipv6",
							      "1", NULL);
		(void)!write(ready[1], &c, 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (lab->holder < 0 || read(ready[0], &c, 1) != 1 || !c) {
		close(ready[0]);
		return bh_err(err, -EPERM, "cannot make a network namespace");
	}
	close(ready[0]);
	return 0;
}

static int make_ports(struct lab *lab, struct bh_err *err)
{
	struct bh_buf node = { 0 }, far = { 0 };
	unsigned int i;
	int r;

	bh_buf_puts(&node, "link set lo up\n"
			   "addr add " LAB_NODE4 "/32 dev lo\n"
			   "addr add " LAB_NODE6 "/128 dev lo nodad\n");
	for (i = 0; i < lab->n_ports; i++) {
		bh_buf_printf(&node,
			      "link add p%u address 02:aa:00:00:00:%02x type veth "
			      "peer name q%u address 02:bb:00:00:00:%02x netns %d\n"
			      "link set p%u up\n",
			      i, i, i, i, (int)lab->holder, i);
		bh_buf_printf(&far, "link set q%u up\n", i);
	}
	r = run_ip(lab, false, bh_buf_str(&node), err);
	if (r == 0)
		r = run_ip(lab, true, bh_buf_str(&far), err);
	bh_buf_done(&node);
	bh_buf_done(&far);
	return r;
}

/* Packet sockets belong to the namespace they were made in. */
static int open_far(struct lab *lab, struct bh_err *err)
{
	bh_auto_close int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	bh_auto_close int far = -1;
	char path[64];
	unsigned int i;
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)lab->holder);
	far = open(path, O_RDONLY | O_CLOEXEC);
	if (home < 0 || far < 0 || setns(far, CLONE_NEWNET) < 0)
		return bh_err_wrap(err, -errno, "setns");
	for (i = 0; i < lab->n_ports && r == 0; i++) {
		struct sockaddr_ll ll = { .sll_family = AF_PACKET,
					  .sll_protocol = htons(ETH_P_ALL) };
		char name[IFNAMSIZ];
		int size = 8 << 20;

		snprintf(name, sizeof(name), "q%u", i);
		ll.sll_ifindex = (int)if_nametoindex(name);
		lab->far_fd[i] = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (lab->far_fd[i] < 0 ||
		    bind(lab->far_fd[i], (struct sockaddr *)&ll, sizeof(ll)) < 0)
			r = bh_err_wrap(err, -errno, "packet socket on %s", name);
		(void)setsockopt(lab->far_fd[i], SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	}
	if (setns(home, CLONE_NEWNET) < 0)
		abort(); /* we would go on in the wrong network */
	return r;
}

int lab_start(struct lab *lab, unsigned int n_ports, struct bh_err *err)
{
	unsigned int i;
	int r;

	*lab = (struct lab){ .n_ports = n_ports, .holder = -1, .node_fd = { -1, -1 } };
	for (i = 0; i < LAB_MAX_PORTS; i++)
		lab->far_fd[i] = -1;
	if (unshare(CLONE_NEWNET) < 0)
		return bh_err(err, -EPERM, "cannot make a network namespace");
	r = start_holder(lab, err);
	if (r == 0)
		r = set_sysctls(err);
	if (r == 0)
		r = make_ports(lab, err);
	if (r == 0)
		r = open_far(lab, err);
	if (r < 0) {
		lab_stop(lab);
		return r;
	}
	lab->node_fd[BH_IPV4] = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	lab->node_fd[BH_IPV6] = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	return 0;
}

void lab_stop(struct lab *lab)
{
	unsigned int i;

	for (i = 0; i < LAB_MAX_PORTS; i++)
		bh_close(&lab->far_fd[i]);
	bh_close(&lab->node_fd[0]);
	bh_close(&lab->node_fd[1]);
	if (lab->holder > 0) {
		kill(lab->holder, SIGKILL);
		waitpid(lab->holder, NULL, 0);
	}
	lab->holder = -1;
}

int lab_add_node_addr(struct lab *lab, const struct bh_addr *a, struct bh_err *err)
{
	char text[BH_ADDR_STRLEN], commands[128];

	snprintf(commands, sizeof(commands), "addr add %s/%zu dev lo\n", bh_addr_format(a, text),
		 bh_family_len(a->family) * 8);
	return run_ip(lab, false, commands, err);
}

/* --- a bridge ------------------------------------------------------------------ */

const uint8_t lab_bridge_mac[6] = { 0x02, 0xaa, 0, 0, 0, 0xff };

void lab_far_mac(unsigned int port, uint8_t ret[6])
{
	memcpy(ret, (uint8_t[]){ 0x02, 0xbb, 0, 0, 0, (uint8_t)port }, 6);
}

void lab_near_mac(unsigned int port, uint8_t ret[6])
{
	memcpy(ret, (uint8_t[]){ 0x02, 0xaa, 0, 0, 0, (uint8_t)port }, 6);
}

/* Nothing is learnt from frames, and groups go to all ports. */
int lab_bridge(struct lab *lab, unsigned int n, struct bh_err *err)
{
	struct bh_buf ports = { 0 };
	int r = run_ip(lab, false,
		       "link add br0 address 02:aa:00:00:00:ff type bridge mcast_snooping 0\n"
		       "link set br0 up\naddr add fe80::1/64 dev br0 nodad\n",
		       err);

	if (r < 0 || set_sysctl("/proc/sys/net/bridge/bridge-nf-call-iptables", "1", err) < 0 ||
	    set_sysctl("/proc/sys/net/bridge/bridge-nf-call-ip6tables", "1", err) < 0)
		return bh_err_wrap(err, -EOPNOTSUPP, "no filtered bridge");
	for (unsigned int i = 0; i < n; i++)
		bh_buf_printf(&ports,
			      "link set p%u master br0\n"
			      "link set p%u type bridge_slave learning off\n",
			      i, i);
	r = run_ip(lab, false, bh_buf_str(&ports), err);
	bh_buf_reset(&ports);
	for (unsigned int i = 0; i < n && r == 0; i++) {
		bh_buf_printf(&ports,
			      "bridge fdb replace 02:bb:00:00:00:%02x dev p%u master static", i, i);
		if (system(bh_buf_str(&ports)) != 0)
			r = bh_err(err, -EIO, "%s", bh_buf_str(&ports));
		bh_buf_reset(&ports);
	}
	bh_buf_done(&ports);
	return r;
}

/* --- routes -------------------------------------------------------------------- */

int lab_route(struct lab *lab, const struct bh_addr *a, unsigned int port, struct bh_err *err)
{
	char text[BH_ADDR_STRLEN], commands[256];

	bh_addr_format(a, text);
	snprintf(commands, sizeof(commands),
		 "route replace %s dev p%u\n"
		 "neigh replace %s lladdr 02:bb:00:00:00:%02x dev p%u nud permanent\n",
		 text, port, text, port, port);
	return run_ip(lab, false, commands, err);
}

int lab_default_route(struct lab *lab, unsigned int port, struct bh_err *err)
{
	char commands[512];

	snprintf(commands, sizeof(commands),
		 "neigh replace 192.0.2.254 lladdr 02:bb:00:00:00:%02x dev p%u nud permanent\n"
		 "neigh replace fe80::fe lladdr 02:bb:00:00:00:%02x dev p%u nud permanent\n"
		 "route replace default via 192.0.2.254 dev p%u onlink\n"
		 "route replace ::/0 via fe80::fe dev p%u onlink\n",
		 port, port, port, port, port, port);
	return run_ip(lab, false, commands, err);
}

int lab_reset_routes(struct lab *lab, struct bh_err *err)
{
	int r = run_ip(lab, false, "route flush table main\n", err);

	/* A batch has one family. */
	if (r == 0 && system("ip -6 route flush table main") != 0)
		r = bh_err(err, -EIO, "cannot flush IPv6 routes");
	return r;
}

/* --- packets ------------------------------------------------------------------- */

static uint32_t sum16(const void *data, size_t len, uint32_t sum)
{
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (len & 1)
		sum += (uint32_t)(p[len - 1] << 8);
	return sum;
}

/* RFC 1071. */
static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* CRC32c as SCTP wants it (RFC 9260, appendix A). */
static uint32_t crc32c(const uint8_t *p, size_t len)
{
	uint32_t crc = 0xffffffff;
	int bit;

	while (len-- > 0) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0x82f63b78 & -(crc & 1));
	}
	return ~crc;
}

static uint32_t pseudo_sum(const struct lab_packet *p, size_t len)
{
	size_t n = bh_family_len(p->src.family);

	return sum16(p->src.bytes, n, 0) + sum16(p->dst.bytes, n, 0) + p->protocol + (uint32_t)len;
}

static size_t put_l4(uint8_t *at, const struct lab_packet *p)
{
	switch (p->protocol) {
	case IPPROTO_TCP: {
		struct tcphdr h = { .source = htons(p->id),
				    .dest = htons(p->dst_port),
				    .seq = htonl(p->id),
				    .doff = sizeof(h) / 4,
				    .syn = 1,
				    .window = htons(1024) };

		h.check = fold(sum16(&h, sizeof(h), pseudo_sum(p, sizeof(h))));
		memcpy(at, &h, sizeof(h));
		return sizeof(h);
	}
	case IPPROTO_UDP: {
		struct udphdr h = { .source = htons(p->id),
				    .dest = htons(p->dst_port),
				    .len = htons(sizeof(h)) };

		h.check = fold(sum16(&h, sizeof(h), pseudo_sum(p, sizeof(h))));
		memcpy(at, &h, sizeof(h));
		return sizeof(h);
	}
	case IPPROTO_SCTP: {
		/* Common header and an INIT chunk (RFC 9260 sections 3.1 and 3.3.2). */
		uint8_t h[32] = {
			[12] = 1, [15] = 20, [19] = 1, [20] = 1, [25] = 1, [27] = 1, [31] = 1
		};
		uint16_t sport = htons(p->id), dport = htons(p->dst_port);
		uint32_t crc;

		memcpy(h, &sport, 2);
		memcpy(h + 2, &dport, 2);
		crc = crc32c(h, sizeof(h));
		memcpy(h + 8, &crc, 4);
		memcpy(at, h, sizeof(h));
		return sizeof(h);
	}
	case IPPROTO_ICMP: {
		uint8_t h[8] = { ICMP_ECHO, [6] = (uint8_t)(p->id >> 8), [7] = (uint8_t)p->id };
		uint16_t check;

		/* An identifier of its own for each, for conntrack. */
		memcpy(h + 4, h + 6, 2);
		check = fold(sum16(h, sizeof(h), 0));
		memcpy(h + 2, &check, 2);
		memcpy(at, h, sizeof(h));
		return sizeof(h);
	}
	case IPPROTO_ICMPV6: {
		uint8_t h[8] = {
			ICMP6_ECHO_REQUEST, [6] = (uint8_t)(p->id >> 8), [7] = (uint8_t)p->id
		};
		uint16_t check;

		memcpy(h + 4, h + 6, 2);
		check = fold(sum16(h, sizeof(h), pseudo_sum(p, sizeof(h))));
		memcpy(h + 2, &check, 2);
		memcpy(at, h, sizeof(h));
		return sizeof(h);
	}
	default: abort();
	}
}

/* An IP packet at @buf; returns its length. */
static size_t build(uint8_t *buf, const struct lab_packet *p)
{
	size_t len;

	if (p->src.family == BH_IPV4) {
		struct iphdr h = { .version = 4, .ihl = 5, .ttl = 64, .protocol = p->protocol };

		len = sizeof(h) + put_l4(buf + sizeof(h), p);
		h.tot_len = htons((uint16_t)len);
		memcpy(&h.saddr, p->src.bytes, 4);
		memcpy(&h.daddr, p->dst.bytes, 4);
		h.check = fold(sum16(&h, sizeof(h), 0));
		memcpy(buf, &h, sizeof(h));
	} else {
		struct ip6_hdr h = { .ip6_flow = htonl(6u << 28),
				     .ip6_nxt = p->protocol,
				     .ip6_hlim = 64 };

		len = sizeof(h) + put_l4(buf + sizeof(h), p);
		h.ip6_plen = htons((uint16_t)(len - sizeof(h)));
		memcpy(&h.ip6_src, p->src.bytes, 16);
		memcpy(&h.ip6_dst, p->dst.bytes, 16);
		memcpy(buf, &h, sizeof(h));
	}
	return len;
}

int lab_send_frame(struct lab *lab, unsigned int port, const uint8_t *frame, size_t len)
{
	return send(lab->far_fd[port], frame, len, 0) < 0 ? -errno : 0;
}

int lab_send(struct lab *lab, unsigned int port, const struct lab_packet *p)
{
	uint8_t frame[FRAME_MAX] = { 0x02, 0xaa, 0, 0, 0, (uint8_t)port,
				     0x02, 0xbb, 0, 0, 0, (uint8_t)port };
	uint16_t type = htons(p->src.family == BH_IPV4 ? ETH_P_IP : ETH_P_IPV6);
	size_t len;

	memcpy(frame + 12, &type, 2);
	len = ETH_HLEN + build(frame + ETH_HLEN, p);
	return lab_send_frame(lab, port, frame, len);
}

int lab_send_from_node(struct lab *lab, const struct lab_packet *p)
{
	uint8_t packet[FRAME_MAX];
	size_t len = build(packet, p);
	struct sockaddr_in to4 = { .sin_family = AF_INET };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6 };
	bool is_v4 = p->src.family == BH_IPV4;
	ssize_t n;

	memcpy(&to4.sin_addr, p->dst.bytes, 4);
	memcpy(&to6.sin6_addr, p->dst.bytes, 16);
	n = sendto(lab->node_fd[p->src.family], packet, len, 0,
		   is_v4 ? (const struct sockaddr *)&to4 : (const struct sockaddr *)&to6,
		   is_v4 ? sizeof(to4) : sizeof(to6));
	return n < 0 ? -errno : 0;
}

/* The id of a packet of ours or of the node's answer to one. */
static bool read_id(const uint8_t *frame, size_t len, uint16_t *ret)
{
	uint16_t type = (uint16_t)(frame[12] << 8 | frame[13]);
	size_t at = ETH_HLEN + (type == ETH_P_IP ? 20 : 40);
	const uint8_t *l4 = frame + at;
	uint8_t protocol;
	size_t where = 0;

	if ((type != ETH_P_IP && type != ETH_P_IPV6) || len < at + 8)
		return false;
	protocol = frame[ETH_HLEN + (type == ETH_P_IP ? 9 : 6)];
	if (protocol == IPPROTO_ICMP) {
		if (l4[0] != ICMP_ECHO && l4[0] != ICMP_ECHOREPLY)
			return false;
		where = 6;
	} else if (protocol == IPPROTO_ICMPV6) {
		if (l4[0] != ICMP6_ECHO_REQUEST && l4[0] != ICMP6_ECHO_REPLY)
			return false;
		where = 6;
	} else if (protocol == IPPROTO_TCP && len >= at + 14 && l4[13] & TH_RST) {
		where = 2;
	} else if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_SCTP) {
		return false;
	}
	*ret = (uint16_t)(l4[where] << 8 | l4[where + 1]);
	return true;
}

size_t lab_receive_frame(struct lab *lab, int wait_ms, uint8_t *frame, size_t size,
			 unsigned int *port)
{
	struct pollfd fds[LAB_MAX_PORTS];
	unsigned int i;

	for (i = 0; i < lab->n_ports; i++)
		fds[i] = (struct pollfd){ .fd = lab->far_fd[i], .events = POLLIN };
	while (poll(fds, lab->n_ports, wait_ms) > 0) {
		for (i = 0; i < lab->n_ports; i++) {
			struct sockaddr_ll from;
			socklen_t from_len = sizeof(from);
			ssize_t n;

			if (!(fds[i].revents & POLLIN))
				continue;
			n = recvfrom(fds[i].fd, frame, size, 0, (struct sockaddr *)&from,
				     &from_len);
			if (n < ETH_HLEN + 8 || from.sll_pkttype == PACKET_OUTGOING)
				continue;
			*port = i;
			return (size_t)n;
		}
	}
	return 0;
}

bool lab_receive(struct lab *lab, int wait_ms, uint16_t *id, unsigned int *port)
{
	uint8_t frame[FRAME_MAX];
	size_t n;

	while ((n = lab_receive_frame(lab, wait_ms, frame, sizeof(frame), port)) > 0)
		if (read_id(frame, n, id))
			return true;
	return false;
}

int lab_forget_connections(struct bh_err *err)
{
	bh_auto(bh_conntrack_free) struct bh_conntrack *ct = NULL;
	struct bh_conn conns[2 * BH_CONNTRACK_MIN_ROOM];
	size_t n, n_gone;
	int r = bh_conntrack_new(&ct, err);

	if (r == 0)
		r = bh_conntrack_list(ct, BH_CONN_SIDE_ANY, NULL, err);
	if (r < 0)
		return r;
	while ((r = bh_conntrack_read(ct, NULL, NULL, conns, BH_ARRAY_LEN(conns), &n, err)) > 0)
		if (bh_conntrack_delete(ct, conns, n, &n_gone, err) < 0)
			return -EIO;
	if (r == 0 && n > 0)
		r = bh_conntrack_delete(ct, conns, n, &n_gone, err);
	return r < 0 ? r : 0;
}
