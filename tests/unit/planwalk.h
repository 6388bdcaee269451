/*
 * What a plan does to a packet: a small interpreter of its chains, for tests
 * that compare plans with what the rules mean.  Works on the bytes of a frame, as
 * the kernel does: what cannot be loaded ends the rule.
 */
#ifndef BH_PLANWALK_H
#define BH_PLANWALK_H

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_ether.h>
#include <linux/netfilter.h>

#include "bh/model.h"
#include "bh/plan.h"

#define WALK_FRAME_MAX 256

/* A frame at a hook. */
struct walk_frame {
	uint8_t bytes[WALK_FRAME_MAX]; /* from the Ethernet header on */
	size_t len;
	uint32_t iif, oif;
	uint32_t priority;
	bool is_own; /* its source address is the node's */
};

struct packet {
	struct bh_addr src, dst;
	uint8_t protocol;
	uint16_t port;  /* what is where TCP has its destination port */
	bool is_own;    /* sent by the node itself */
	bool is_to_own; /* and to the node itself */
};

struct fate {
	bool is_dropped;
	bool is_denied[BH_DIR_COUNT_]; /* logged as denied in that direction */
	bool is_audited[BH_DIR_COUNT_];
	char reason[BH_NAME_MAX]; /* the last chain that logged; "" for none */
};

enum walk_end { WALK_ON, WALK_ACCEPT, WALK_DROP };

struct walk {
	const struct bh_plan *plan;
	struct walk_frame *frame;
	struct fate *fate;
	/* What the kernel knows of the frame. */
	uint16_t protocol; /* behind one VLAN tag */
	size_t network, transport;
	uint8_t l4proto;
	bool has_l4;
};

/* --- where headers are ------------------------------------------------------- */

static inline uint16_t walk_u16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void walk_parse_ip6(struct walk *w)
{
	const uint8_t *b = w->frame->bytes;
	size_t at = w->network + 40;
	uint8_t next = b[w->network + 6];

	while ((next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING) &&
	       at + 8 <= w->frame->len) {
		next = b[at];
		at += 8u * (b[at + 1] + 1u);
	}
	w->l4proto = next;
	w->transport = at;
	w->has_l4 = at <= w->frame->len;
}

static inline void walk_parse(struct walk *w)
{
	const uint8_t *b = w->frame->bytes;

	w->protocol = walk_u16(b + 12);
	w->network = ETH_HLEN;
	if (w->protocol == ETH_P_8021Q || w->protocol == ETH_P_8021AD) {
		w->protocol = walk_u16(b + 16);
		w->network += 4;
	}
	if (w->protocol == ETH_P_IP && w->network + 20 <= w->frame->len) {
		w->l4proto = b[w->network + 9];
		w->transport = w->network + 4u * (b[w->network] & 15u);
		w->has_l4 = true;
	} else if (w->protocol == ETH_P_IPV6 && w->network + 40 <= w->frame->len) {
		walk_parse_ip6(w);
	}
}

/* --- loads ------------------------------------------------------------------- */

static inline bool walk_is_ip(const struct walk *w, enum bh_family family)
{
	return w->protocol == (family == BH_IPV4 ? ETH_P_IP : ETH_P_IPV6);
}

static inline bool walk_bytes(const struct walk *w, size_t at, size_t len, uint8_t *ret)
{
	if (at + len > w->frame->len)
		return false;
	memcpy(ret, w->frame->bytes + at, len);
	return true;
}

static inline bool walk_number(uint32_t value, size_t len, uint8_t *ret)
{
	for (size_t i = len; i-- > 0; value >>= 8)
		ret[i] = (uint8_t)value;
	return true;
}

static inline bool walk_host(uint32_t value, uint8_t *ret)
{
	memcpy(ret, &value, sizeof(value));
	return true;
}

static inline bool walk_ip_field(const struct walk *w, enum bh_family family, size_t at, size_t len,
				 uint8_t *ret)
{
	return walk_is_ip(w, family) && walk_bytes(w, w->network + at, len, ret);
}

static inline bool walk_l4_field(const struct walk *w, uint8_t protocol, size_t at, size_t len,
				 uint8_t *ret)
{
	return w->has_l4 && (!protocol || w->l4proto == protocol) &&
	       walk_bytes(w, w->transport + at, len, ret);
}

static inline bool walk_arp_field(const struct walk *w, size_t at, size_t len, uint8_t *ret)
{
	return w->protocol == ETH_P_ARP && walk_bytes(w, w->network + at, len, ret);
}

static inline size_t walk_addr_at(enum bh_load load, enum bh_family family)
{
	bool is_src = load != BH_LOAD_DADDR;

	if (family == BH_IPV4)
		return is_src ? 12 : 16;
	return is_src ? 8 : 24;
}

/* Numbers of meta come in host byte order like the link's, all else as in the frame. */
static inline bool walk_load(const struct walk *w, enum bh_load load, enum bh_family family,
			     uint8_t *ret)
{
	const size_t len = bh_load_len(load, family), at = walk_addr_at(load, family);

	switch (load) {
	case BH_LOAD_NFPROTO:
		return walk_number(w->protocol == ETH_P_IP ? NFPROTO_IPV4 : NFPROTO_IPV6, 1, ret);
	case BH_LOAD_L4PROTO: return w->has_l4 && walk_number(w->l4proto, 1, ret);
	case BH_LOAD_LENGTH: return walk_host((uint32_t)(w->frame->len - w->network), ret);
	case BH_LOAD_IIF: return walk_host(w->frame->iif, ret);
	case BH_LOAD_OIF: return walk_host(w->frame->oif, ret);
	case BH_LOAD_PRIORITY: return walk_host(w->frame->priority, ret);
	case BH_LOAD_SADDR:
	case BH_LOAD_DADDR: return walk_ip_field(w, family, at, len, ret);
	case BH_LOAD_RAW_SADDR: return walk_bytes(w, w->network + at, len, ret);
	case BH_LOAD_SPORT: return walk_l4_field(w, 0, 0, len, ret);
	case BH_LOAD_DPORT: return walk_l4_field(w, 0, 2, len, ret);
	case BH_LOAD_TCP_FLAGS: return walk_l4_field(w, IPPROTO_TCP, 13, len, ret);
	case BH_LOAD_NEXTHDR: return walk_ip_field(w, BH_IPV6, 6, len, ret);
	case BH_LOAD_HOPLIMIT: return walk_ip_field(w, BH_IPV6, 7, len, ret);
	case BH_LOAD_PAYLOAD_LEN: return walk_ip_field(w, BH_IPV6, 4, len, ret);
	case BH_LOAD_ICMP6_TYPE:
		return walk_is_ip(w, BH_IPV6) && walk_l4_field(w, IPPROTO_ICMPV6, 0, len, ret);
	case BH_LOAD_TARGET: return walk_l4_field(w, 0, 8, len, ret);
	case BH_LOAD_ETHER_DADDR: return walk_bytes(w, 0, len, ret);
	case BH_LOAD_ETHER_SADDR:
	case BH_LOAD_ETHER_FROM: return walk_bytes(w, 6, len, ret);
	case BH_LOAD_ETHER_TYPE: return walk_bytes(w, 12, len, ret);
	case BH_LOAD_ARP_HTYPE: return walk_arp_field(w, 0, len, ret);
	case BH_LOAD_ARP_PTYPE: return walk_arp_field(w, 2, len, ret);
	case BH_LOAD_ARP_HLEN: return walk_arp_field(w, 4, len, ret);
	case BH_LOAD_ARP_PLEN: return walk_arp_field(w, 5, len, ret);
	case BH_LOAD_ARP_OP: return walk_arp_field(w, 6, len, ret);
	case BH_LOAD_ARP_SHA: return walk_arp_field(w, 8, len, ret);
	case BH_LOAD_ARP_SPA: return walk_arp_field(w, 14, len, ret);
	case BH_LOAD_ARP_TPA: return walk_arp_field(w, 24, len, ret);
	/* A new connection is none yet. */
	case BH_LOAD_CT_ORIGINAL:
	case BH_LOAD_CT_REPLY: return false;
	case BH_LOAD_COUNT_: break;
	}
	abort();
}

static inline bool walk_is_host_order(enum bh_load load)
{
	return load == BH_LOAD_LENGTH || load == BH_LOAD_IIF || load == BH_LOAD_OIF ||
	       load == BH_LOAD_PRIORITY;
}

static inline bool walk_match(const struct walk *w, const struct bh_expr *e)
{
	const size_t len = bh_load_len(e->load, e->family);
	const bool is_not = e->op == BH_MATCH_NOT_RANGE || e->op == BH_MATCH_NOT_BYTES;
	uint8_t have[16] = { 0 };
	bool is_whole = true, is = true;
	uint32_t number = 0;

	if (!walk_load(w, e->load, e->family, have))
		return false;
	if (e->op == BH_MATCH_RANGE || e->op == BH_MATCH_NOT_RANGE) {
		if (walk_is_host_order(e->load))
			memcpy(&number, have, sizeof(number));
		for (size_t i = 0; i < len && !walk_is_host_order(e->load); i++)
			number = number << 8 | have[i];
		return (number >= e->value && number <= e->last) != is_not;
	}
	for (size_t i = 0; i < len; i++)
		is_whole = is_whole && e->mask[i] == 0;
	for (size_t i = 0; i < len; i++)
		is = is && (have[i] & (is_whole ? 0xff : e->mask[i])) == e->bytes[i];
	return is != is_not;
}

/* --- sets -------------------------------------------------------------------- */

static inline bool walk_key(const struct walk *w, const struct bh_expr *e, uint8_t ret[BH_KEY_MAX])
{
	const struct bh_key_loads *k = bh_key_loads_of(e->key);
	enum bh_family family = e->set->spec.family;
	size_t at = 0;

	memset(ret, 0, BH_KEY_MAX);
	for (size_t i = 0; i < k->n; i++) {
		if (!walk_load(w, k->loads[i], family, ret + at))
			return false;
		at += (bh_load_len(k->loads[i], family) + 3) & ~(size_t)3;
	}
	return true;
}

/* Field by field. */
static inline bool walk_is_within(const struct bh_plan_set *set, const struct bh_elem *e,
				  const uint8_t *key)
{
	const struct bh_set_shape *shape = bh_set_shape_of(set->spec.kind);
	size_t at = 0;

	for (size_t i = 0; i < shape->n_fields; i++) {
		size_t len = bh_field_width(shape->fields[i], set->spec.family);

		if (memcmp(key + at, e->key + at, len) < 0 ||
		    memcmp(key + at, e->end + at, len) > 0)
			return false;
		at += len;
	}
	return true;
}

static inline bool walk_find(const struct bh_plan_set *set, const uint8_t *key, struct bh_elem *ret)
{
	/* Filled by the agent, and empty here. */
	if (bh_set_shape_of(set->spec.kind)->is_dynamic)
		return false;
	for (size_t i = 0; i < set->n; i++) {
		bh_plan_elem(set, i, ret);
		if (set->spec.is_interval ? walk_is_within(set, ret, key)
					  : memcmp(ret->key, key, set->key_len) == 0)
			return true;
	}
	return false;
}

/* --- rules ------------------------------------------------------------------- */

static inline enum walk_end walk_chain(struct walk *w, const struct bh_plan_chain *c);

/* "bh:d:in_..." */
static inline void walk_log(struct fate *fate, const char *prefix)
{
	enum bh_dir dir = strncmp(prefix + 5, "in_", 3) == 0 ? BH_INGRESS : BH_EGRESS;

	snprintf(fate->reason, sizeof(fate->reason), "%s", prefix + 5);
	if (prefix[3] == 'a')
		fate->is_audited[dir] = true;
	else
		fate->is_denied[dir] = true;
}

/* False if the rule ends here; *ret then says whether the chain does too. */
static inline bool walk_expr(struct walk *w, const struct bh_expr *e, enum walk_end *ret,
			     bool *is_return)
{
	uint8_t key[BH_KEY_MAX];
	struct bh_elem elem;

	switch (e->kind) {
	case BH_EXPR_CT_STATE: return false; /* test packets are new */
	case BH_EXPR_MATCH: return walk_match(w, e);
	case BH_EXPR_FIB_LOCAL: return w->frame->is_own;
	case BH_EXPR_FIB_BROADCAST: return false; /* test nodes have no subnets */
	case BH_EXPR_LOOKUP:
		return walk_key(w, e, key) && walk_find(e->set, key, &elem) != e->is_negated;
	case BH_EXPR_VMAP:
		if (walk_key(w, e, key) && walk_find(e->set, key, &elem))
			*ret = walk_chain(w, elem.chain);
		return false;
	case BH_EXPR_COUNTER: return true;
	case BH_EXPR_LIMIT:
	case BH_EXPR_UPDATE: return walk_key(w, e, key);
	case BH_EXPR_PRIORITY:
		if (!e->set)
			w->frame->priority = 0;
		else if (walk_key(w, e, key) && walk_find(e->set, key, &elem))
			w->frame->priority = elem.value;
		else
			return false;
		return true;
	case BH_EXPR_LOG: walk_log(w->fate, e->name); return true;
	case BH_EXPR_VERDICT: break;
	case BH_EXPR_KIND_COUNT_: abort();
	}
	switch (e->verdict) {
	case BH_V_ACCEPT: *ret = WALK_ACCEPT; return false;
	case BH_V_DROP: *ret = WALK_DROP; return false;
	case BH_V_GOTO:
	case BH_V_JUMP: *ret = walk_chain(w, e->chain); break;
	case BH_V_RETURN:
	case BH_V_COUNT_: break;
	}
	*is_return = e->verdict != BH_V_JUMP;
	return false;
}

static inline enum walk_end walk_chain(struct walk *w, const struct bh_plan_chain *c)
{
	for (size_t i = 0; i < c->n_rules; i++) {
		enum walk_end end = WALK_ON;
		bool is_return = false;

		for (size_t j = 0; j < c->rules[i].n_exprs; j++) {
			if (!walk_expr(w, &c->rules[i].exprs[j], &end, &is_return))
				break;
		}
		if (end != WALK_ON || is_return)
			return end;
	}
	return WALK_ON;
}

/* A base chain; the frame keeps the priority that it gets.  False if it is dropped. */
static inline bool walk_hook(const struct bh_plan *plan, const struct bh_plan_chain *chain,
			     struct walk_frame *frame, struct fate *fate)
{
	struct walk w = { .plan = plan, .frame = frame, .fate = fate };

	walk_parse(&w);
	fate->is_dropped = walk_chain(&w, chain) == WALK_DROP;
	return !fate->is_dropped;
}

/* --- packets of policy ------------------------------------------------------------ */

/* TCP's are openings, ICMP's and ICMPv6's pings. */
static inline void walk_put_transport(struct walk_frame *f, const struct packet *p)
{
	uint8_t *l4 = f->bytes + f->len;

	l4[2] = (uint8_t)(p->port >> 8);
	l4[3] = (uint8_t)p->port;
	if (p->protocol == IPPROTO_TCP)
		l4[13] = 2;
	if (p->protocol == IPPROTO_ICMPV6)
		l4[0] = ICMP6_ECHO_REQUEST;
	f->len += 20;
}

static inline struct walk_frame walk_frame_of(const struct packet *p)
{
	struct walk_frame f = { .is_own = p->is_own };
	const bool is_v4 = p->src.family == BH_IPV4;
	uint8_t *ip = f.bytes + ETH_HLEN;

	f.bytes[12] = is_v4 ? 0x08 : 0x86;
	f.bytes[13] = is_v4 ? 0x00 : 0xdd;
	if (is_v4) {
		ip[0] = 0x45;
		ip[9] = p->protocol;
		memcpy(ip + 12, p->src.bytes, 4);
		memcpy(ip + 16, p->dst.bytes, 4);
	} else {
		ip[6] = p->protocol;
		ip[7] = 64;
		memcpy(ip + 8, p->src.bytes, 16);
		memcpy(ip + 24, p->dst.bytes, 16);
	}
	f.len = ETH_HLEN + (is_v4 ? 20 : 40);
	walk_put_transport(&f, p);
	return f;
}

static inline struct fate walk_plan(const struct bh_plan *plan, const struct packet *packet)
{
	const char *hook = packet->is_own ? "output" : packet->is_to_own ? "input" : "forward";
	struct walk_frame frame = walk_frame_of(packet);
	struct fate fate = { 0 };

	walk_hook(plan, bh_plan_chain(plan, hook), &frame, &fate);
	return fate;
}

#endif
