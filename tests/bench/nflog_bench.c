/*
 * A flood of denied packets through the whole of the flow log.
 *
 *	nflog_bench [SECONDS]
 *
 * A sender in a network namespace of its own sends UDP to a pod that denies it,
 * routed through a second namespace with the rules that the compiler makes.  There
 * the packets are read, attributed and written to a file as in the agent.  Prints
 * one JSON line for each kind of flood.  Fails unless the figures add up:
 *
 *	denied == logged + suppressed by the kernel's limit
 *	logged == received + lost
 *	received + lost == packets in the records and gaps of the file
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/flowlog.h"
#include "bh/nft.h"

#define POD     "10.0.0.4"
#define SENDER  "10.1.0.5"
#define GROUP   100
#define SNAPLEN 128
#define BATCH   64u
#define SKIPPED 77

struct flood {
	const char *name;
	uint32_t per_s;    /* 0: as fast as it goes */
	uint32_t n_ports;  /* one after the other, from 1 */
	uint32_t log_rate; /* of the kernel's limit per pod; 0: none */
	uint32_t rcvbuf;   /* bytes; 0: the agent's */
};

static const struct flood floods[] = {
	{ "scan", 100000, 65535, 0, 0 },
	{ "one flow", 100000, 1, 0, 0 },
	{ "scan, unpaced", 0, 65535, 0, 0 },
	{ "scan, unpaced, kernel limit", 0, 65535, 1000, 0 },
	/* Loses on purpose: the figures must add up all the same. */
	{ "scan, unpaced, tiny buffer", 0, 65535, 0, 1 },
};

static _Noreturn void die(const char *what, const struct bh_err *err)
{
	fprintf(stderr, "nflog_bench: %s: %s\n", what, err ? bh_err_text(err) : strerror(errno));
	exit(1);
}

static void run(const char *command)
{
	if (system(command) != 0) {
		fprintf(stderr, "nflog_bench: failed: %s\n", command);
		exit(1);
	}
}

/* --- the sender ------------------------------------------------------------------------ */

/* What the reader asks for and the sender answers with the number of packets sent. */
enum ask { ASK_ONE, ASK_FLOOD };

struct sender {
	pid_t pid;
	int ask, answer; /* pipes */
};

static int open_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket", NULL);
	return fd;
}

static unsigned int send_batch(int fd, uint32_t *port, const struct flood *f, unsigned int n)
{
	struct sockaddr_in to[BATCH];
	struct mmsghdr msgs[BATCH];
	struct iovec iov = { .iov_base = (char[18]){ 0 }, .iov_len = 18 };
	int sent;

	memset(msgs, 0, sizeof(msgs));
	for (unsigned int i = 0; i < n; i++) {
		to[i] = (struct sockaddr_in){ .sin_family = AF_INET,
					      .sin_port = htons((uint16_t)(1 + *port)) };
		inet_pton(AF_INET, POD, &to[i].sin_addr);
		*port = (*port + 1) % f->n_ports;
		msgs[i].msg_hdr = (struct msghdr){ .msg_name = &to[i],
						   .msg_namelen = sizeof(to[i]),
						   .msg_iov = &iov,
						   .msg_iovlen = 1 };
	}
	sent = sendmmsg(fd, msgs, n, 0);
	return sent > 0 ? (unsigned int)sent : 0;
}

static uint64_t send_flood(int fd, const struct flood *f, unsigned int seconds)
{
	uint64_t start = bh_mono_ns(), now = start, n = 0;
	uint32_t port = 0;

	for (; now - start < seconds * BH_NS_PER_S; now = bh_mono_ns()) {
		if (f->per_s > 0 && n >= (now - start) * f->per_s / BH_NS_PER_S) {
			usleep(200);
			continue;
		}
		n += send_batch(fd, &port, f, BATCH);
	}
	return n;
}

static _Noreturn void serve(int ask, int answer, const struct flood *f, unsigned int seconds)
{
	uint32_t port = 0;
	int fd = -1;
	char what;

	while (read(ask, &what, 1) == 1) {
		uint64_t n;

		if (fd < 0) {
			run("ip link set lo up && ip link set v1 up && "
			    "ip addr add " SENDER
			    "/24 dev v1 && ip route add default via 10.1.0.1");
			fd = open_socket();
		}
		n = what == ASK_FLOOD ? send_flood(fd, f, seconds) : send_batch(fd, &port, f, 1);
		if (write(answer, &n, sizeof(n)) != sizeof(n))
			break;
	}
	_exit(0);
}

static void start_sender(struct sender *s, const struct flood *f, unsigned int seconds)
{
	bh_auto_free char *command = NULL;
	int ask[2], answer[2];
	char ready = 0;

	if (pipe2(ask, O_CLOEXEC) < 0 || pipe2(answer, O_CLOEXEC) < 0)
		die("pipe", NULL);
	s->pid = fork();
	if (s->pid < 0)
		die("fork", NULL);
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ask[1]);
		if (unshare(CLONE_NEWNET) < 0 || write(answer[1], &ready, 1) != 1)
			_exit(1);
		serve(ask[0], answer[1], f, seconds);
	}
	close(ask[0]);
	close(answer[1]);
	s->ask = ask[1];
	s->answer = answer[0];
	if (read(s->answer, &ready, 1) != 1)
		die("sender", NULL);
	command = bh_asprintf("ip link add v0 type veth peer name v1 netns %d && "
			      "ip addr add 10.1.0.1/24 dev v0 && ip link set v0 up",
			      (int)s->pid);
	run(command);
}

static void ask(const struct sender *s, enum ask what)
{
	char byte = (char)what;

	if (write(s->ask, &byte, 1) != 1)
		die("sender", NULL);
}

static bool is_answered(const struct sender *s)
{
	struct pollfd p = { .fd = s->answer, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static uint64_t get_answer(const struct sender *s)
{
	uint64_t n;

	if (read(s->answer, &n, sizeof(n)) != sizeof(n))
		die("sender", NULL);
	return n;
}

/* --- the reader -------------------------------------------------------------------------- */

struct reader {
	struct bh_world *world;
	struct bh_compiler *compiler;
	struct bh_history *history;
	struct bh_nft *nft;
	struct bh_nflog *nflog;
	struct bh_flowlog *log;
	struct bh_flowfile *file;
	uint64_t n_overruns, n_datagrams, in_records, lines;
	uint64_t last_tick_ns, first_delay_ns;
};

static void apply(struct reader *r, const struct bh_fact *fact)
{
	struct bh_err err = { 0 };

	if (bh_world_apply(r->world, fact, &err) < 0)
		die("world", &err);
}

static void put_pod(struct reader *r, const char *name, const char *ip)
{
	struct bh_label label = { "app", name };
	struct bh_addr a;
	struct bh_fact fact = { .kind = BH_KIND_POD,
				.source = BH_SOURCE_MANIFEST,
				.pod = { .namespace = "shop",
					 .name = name,
					 .uid = name,
					 .node = "this",
					 .labels = { &label, 1 },
					 .addrs = &a,
					 .n_addrs = 1 } };

	(void)bh_addr_parse(ip, &a, NULL);
	apply(r, &fact);
}

/* Isolates the pod; lets in somebody else, so that there is a rule to have missed. */
static void put_policy(struct reader *r)
{
	const char *api = "api", *db = "db";
	const struct bh_requirement from[] = { { "app", BH_SEL_IN, &api, 1, false } };
	const struct bh_requirement to[] = { { "app", BH_SEL_IN, &db, 1, false } };
	const struct bh_peer peer = { .kind = BH_PEER_PODS, .pods = { from, 1 } };
	const struct bh_rule rule = { .has_peers = true, .peers = &peer, .n_peers = 1 };
	const struct bh_fact fact = {
		.kind = BH_KIND_POLICY,
		.source = BH_SOURCE_MANIFEST,
		.policy = { .kind = BH_NETWORK_POLICY,
			    .tier = BH_TIER_NETWORK_POLICY,
			    .namespace = "shop",
			    .name = "db-from-api",
			    .uid = "",
			    .pods = { to, 1 },
			    .isolates = { [BH_INGRESS] = true },
			    .rules = { [BH_INGRESS] = { &rule, 1 } } },
	};

	apply(r, &fact);
}

static void commit(struct reader *r)
{
	struct bh_plan *plan = bh_compiler_plan(r->compiler);
	struct bh_err err = { 0 };
	bh_auto(bh_delta_free) struct bh_delta *delta = NULL;

	bh_history_note(r->history, bh_world_changes(r->world), bh_real_ns());
	bh_compiler_update(r->compiler);
	delta = bh_plan_delta(plan);
	if (bh_nft_commit(r->nft, &(const struct bh_delta *){ delta }, 1, NULL, &err) < 0)
		die("commit", &err);
	bh_delta_free(&delta);
	bh_plan_settle(plan);
}

/* The figures of the file are taken from the lines that go into it. */
static int on_record(void *ctx, const struct bh_record *record, const char *line)
{
	struct reader *r = ctx;

	(void)line;
	r->lines++;
	if (record->kind == BH_RECORD_FLOW)
		r->in_records += record->flow.count;
	else if (record->kind == BH_RECORD_GAP)
		r->in_records += record->gap.lost;
	return 0;
}

static void start_reader(struct reader *r, const struct flood *f, const char *path)
{
	const struct bh_compile_config compile = { .log_group = GROUP,
						   .log_snaplen = SNAPLEN,
						   .log_rate = f->log_rate,
						   .log_burst = f->log_rate };
	const struct bh_world_config world = { .node = "this" };
	const struct bh_flowlog_config log = { .node = "this" };
	const struct bh_nflog_config nflog = { .group = GROUP,
					       .copy_len = SNAPLEN,
					       .rcvbuf_bytes = f->rcvbuf };
	const struct bh_flowlog_subscriber count = { .ctx = r, .on_record = on_record };
	struct bh_flowlog_subscriber file;
	struct bh_err err = { 0 };

	*r = (struct reader){ .last_tick_ns = bh_mono_ns() };
	r->world = bh_world_new(&world);
	r->compiler = bh_compiler_new(r->world, &compile);
	r->history = bh_history_new(60 * BH_NS_PER_S, 1000);
	r->log = bh_flowlog_new(&log, r->world, r->compiler, r->history);
	put_pod(r, "db", POD);
	put_pod(r, "attacker", SENDER);
	put_policy(r);
	if (bh_nft_new(&r->nft, &err) < 0)
		die("nftables", &err);
	commit(r);
	if (bh_nflog_new(&r->nflog, &nflog, &err) < 0)
		die("NFLOG", &err);
	if (bh_flowfile_new(&r->file, path, &err) < 0)
		die("file", &err);
	file = bh_flowfile_subscriber(r->file);
	bh_flowlog_subscribe(r->log, &file);
	bh_flowlog_subscribe(r->log, &count);
}

static void stop_reader(struct reader *r)
{
	bh_flowlog_free(&r->log);
	bh_flowfile_free(&r->file);
	bh_nflog_free(&r->nflog);
	bh_nft_free(&r->nft);
	bh_history_free(&r->history);
	bh_compiler_free(&r->compiler);
	bh_world_free(&r->world);
}

static void on_packet(void *ctx, const struct bh_nflog_msg *msg)
{
	struct reader *r = ctx;
	uint64_t now_ns = bh_real_ns();

	if (r->first_delay_ns == 0 && msg->timestamp_ns > 0)
		r->first_delay_ns = now_ns - msg->timestamp_ns;
	bh_flowlog_packet(r->log, msg, now_ns);
}

static void on_lost(void *ctx, uint32_t n)
{
	bh_flowlog_lost(((struct reader *)ctx)->log, n, "nflog-sequence", bh_real_ns());
}

static void on_overrun(void *ctx)
{
	((struct reader *)ctx)->n_overruns++;
}

/* One wake-up of the agent's loop: one recv(), and its timer. */
static bool turn(struct reader *r, int timeout_ms)
{
	const struct bh_nflog_handler handler = {
		.ctx = r, .on_packet = on_packet, .on_lost = on_lost, .on_overrun = on_overrun
	};
	struct pollfd p = { .fd = bh_nflog_fd(r->nflog), .events = POLLIN };
	bool has_read = false;

	if (poll(&p, 1, timeout_ms) > 0) {
		if (bh_nflog_read(r->nflog, &handler, NULL) == 0)
			r->n_datagrams++;
		has_read = true;
	}
	if (bh_mono_ns() - r->last_tick_ns >= BH_NS_PER_S) {
		r->last_tick_ns = bh_mono_ns();
		bh_flowlog_tick(r->log, bh_real_ns());
	}
	return has_read;
}

static uint64_t counter(const struct reader *r, const char *name)
{
	bh_auto_free struct bh_nft_counter *counters = NULL;
	struct bh_err err = { 0 };
	size_t n = 0;

	if (bh_nft_counters(r->nft, &counters, &n, &err) < 0)
		die("counters", &err);
	for (size_t i = 0; i < n; i++)
		if (strcmp(counters[i].name, name) == 0)
			return counters[i].packets;
	return 0;
}

static uint64_t cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * BH_NS_PER_S +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

/* --- one flood ------------------------------------------------------------------------------ */

static void make_router(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0) {
		perror("nflog_bench: cannot make a network namespace");
		exit(SKIPPED);
	}
	fd = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		die("ip_forward", NULL);
	close(fd);
	run("ip link set lo up && ip link add d0 type veth peer name d1 && "
	    "ip addr add 10.0.0.1/24 dev d0 && ip link set d0 up && ip link set d1 up");
}

/*
 * A loss at the very end shows with the next packet that is logged, so single
 * packets follow until there is nothing left to show.
 */
static uint64_t settle(struct reader *r, const struct sender *s)
{
	struct bh_flowlog_stats stats;
	uint64_t sent = 0;

	for (int i = 0; i < 100; i++) {
		while (turn(r, 100))
			;
		stats = bh_flowlog_stats(r->log);
		if (counter(r, BH_COUNTER_LOGGED) ==
		    stats.of[BH_CLASS_DENIED].received + stats.lost)
			break;
		ask(s, ASK_ONE);
		sent += get_answer(s);
	}
	return sent;
}

/* Complains and gives 1 if @a is not @b. */
static int differ(const char *what, uint64_t a, uint64_t b)
{
	if (a == b)
		return 0;
	fprintf(stderr, "nflog_bench: %s: %llu is not %llu\n", what, (unsigned long long)a,
		(unsigned long long)b);
	return 1;
}

static int check(struct reader *r, const struct flood *f)
{
	struct bh_flowlog_stats s = bh_flowlog_stats(r->log);
	uint64_t denied = counter(r, BH_COUNTER_DENIED), logged = counter(r, BH_COUNTER_LOGGED);
	int bad = 0;

	if (f->log_rate == 0)
		bad |= differ("denied, logged", denied, logged);
	else if (logged > denied)
		bad |= differ("logged, denied", logged, denied);
	bad |= differ("logged, received + lost", logged, s.of[BH_CLASS_DENIED].received + s.lost);
	bad |= differ("received, recorded + suppressed", s.of[BH_CLASS_DENIED].received,
		      s.of[BH_CLASS_DENIED].recorded + s.of[BH_CLASS_DENIED].suppressed);
	bad |= differ("in records and gaps, received + lost", r->in_records,
		      s.of[BH_CLASS_DENIED].received + s.lost);
	bad |= differ("records", r->lines, s.records);
	bad |= differ("records lost", s.records_lost, 0);
	return bad;
}

static void print(struct reader *r, const struct flood *f, uint64_t sent, double seconds,
		  double cpu_share)
{
	struct bh_flowlog_stats s = bh_flowlog_stats(r->log);
	uint64_t denied = counter(r, BH_COUNTER_DENIED), logged = counter(r, BH_COUNTER_LOGGED);

	printf("{\"bench\": \"nflog\", \"flood\": \"%s\", \"sent\": %llu, \"per_s\": %.0f, "
	       "\"denied\": %llu, \"logged\": %llu, \"kernel_suppressed\": %llu, "
	       "\"received\": %llu, \"lost\": %llu, \"recorded\": %llu, \"suppressed\": %llu, "
	       "\"records\": %llu, \"datagrams\": %llu, \"overruns\": %llu, "
	       "\"first_packet_ms\": %.1f, \"reader_cpu_percent\": %.1f, "
	       "\"reader_ns_per_packet\": %.0f}\n",
	       f->name, (unsigned long long)sent, (double)sent / seconds,
	       (unsigned long long)denied, (unsigned long long)logged,
	       (unsigned long long)(denied - logged),
	       (unsigned long long)s.of[BH_CLASS_DENIED].received, (unsigned long long)s.lost,
	       (unsigned long long)s.of[BH_CLASS_DENIED].recorded,
	       (unsigned long long)s.of[BH_CLASS_DENIED].suppressed, (unsigned long long)s.records,
	       (unsigned long long)r->n_datagrams, (unsigned long long)r->n_overruns,
	       (double)r->first_delay_ns / 1e6, cpu_share * 100,
	       s.of[BH_CLASS_DENIED].received
		       ? cpu_share * seconds * 1e9 / (double)s.of[BH_CLASS_DENIED].received
		       : 0);
}

static int run_flood(const struct flood *f, unsigned int seconds)
{
	char path[] = "/tmp/bh-nflog-bench-XXXXXX";
	int fd = mkstemp(path), bad;
	uint64_t start_ns, cpu_start_ns, wall_ns, cpu, sent;
	struct sender sender;
	struct reader r;

	if (fd < 0)
		die("temporary file", NULL);
	close(fd);
	make_router();
	start_sender(&sender, f, seconds);
	start_reader(&r, f, path);
	unlink(path);

	/* A lone packet: how soon it is a record. */
	ask(&sender, ASK_ONE);
	sent = get_answer(&sender);
	while (r.first_delay_ns == 0)
		turn(&r, 1000);

	start_ns = bh_mono_ns();
	cpu_start_ns = cpu_ns();
	ask(&sender, ASK_FLOOD);
	while (!is_answered(&sender))
		turn(&r, 20);
	wall_ns = bh_mono_ns() - start_ns;
	cpu = cpu_ns() - cpu_start_ns;
	sent += get_answer(&sender);

	sent += settle(&r, &sender);
	bh_flowlog_flush(r.log, bh_real_ns());
	bad = check(&r, f);
	print(&r, f, sent, (double)wall_ns / 1e9, (double)cpu / (double)wall_ns);
	close(sender.ask);
	waitpid(sender.pid, NULL, 0);
	stop_reader(&r);
	return bad;
}

int main(int argc, char **argv)
{
	unsigned int seconds = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 2;
	int r = 0;

	if (argc > 2 || seconds == 0 || seconds > 60) {
		fputs("usage: nflog_bench [SECONDS]\n", stderr);
		return 2;
	}
	/* Each in a process of its own, with whom its namespaces go away. */
	for (size_t i = 0; i < BH_ARRAY_LEN(floods); i++) {
		int status;
		pid_t pid = fork();

		if (pid < 0)
			die("fork", NULL);
		if (pid == 0)
			exit(run_flood(&floods[i], seconds));
		if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
			return 1;
		if (WEXITSTATUS(status) == SKIPPED)
			return SKIPPED;
		r |= WEXITSTATUS(status);
	}
	return r;
}
