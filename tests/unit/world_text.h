/*
 * Worlds as text, for tables of tests.  One object a line:
 *
 *	pod NS/NAME [ADDR]... [label=K:V]... [port=NAME:PROTO:NUMBER]... [node=N] [uid=U]
 *		[sandbox=ID] [at=NS] [host] [finished] [nolabels]
 *	ns NAME [label=K:V]... [deny=DIRS] [audit]
 *	node NAME [ADDR]... [label=K:V]...
 *	policy NS/NAME [pods=SEL] [types=DIRS] [audit] [invalid]
 *	cluster NAME tier=admin|baseline [prio=N] [ns=SEL] [pods=SEL] [audit]
 *	in|eg [allow|deny|pass] [peer=PEER]... [port=PORT]...	(a rule of the policy above)
 *
 * DIRS: ingress, egress, both, none.  SEL: "*" or K=V, K=V|V, K!=V|V, +K, !K with commas.
 * PEER: pods/SEL, ns/SEL, ns/SEL&pods/SEL, cidr/CIDR[-EXCEPT]..., node/SEL, nothing.
 * PORT: PROTO, PROTO:N, PROTO:N-N, PROTO:NAME, any.
 */
#ifndef BH_WORLD_TEXT_H
#define BH_WORLD_TEXT_H

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "bh/world.h"

struct wt {
	struct bh_world *w;
	struct bh_arena *arena;
	enum bh_source source;
	struct bh_fact policy;
	bool has_policy;
};

static inline struct bh_addr wt_addr(const char *s)
{
	struct bh_err err = { 0 };
	struct bh_addr a = { 0 };

	assert_ok(bh_addr_parse(s, &a, &err), &err);
	return a;
}

/* Splits off the text up to @sep. */
static inline char *wt_cut(char **at, const char *sep)
{
	char *s = strsep(at, sep);

	while (s && !*s && *at)
		s = strsep(at, sep);
	return s && *s ? s : NULL;
}

#define WT_PUSH(arena, list, n, item)                                                              \
	do {                                                                                       \
		void *more_ = bh_arena_array((arena), (n) + 1, sizeof(*(list)));                   \
		if (n)                                                                             \
			memcpy(more_, (list), (n) * sizeof(*(list)));                              \
		(list) = more_;                                                                    \
		memcpy((char *)more_ + (n) * sizeof(*(list)), &(item), sizeof(item));              \
		(n)++;                                                                             \
	} while (0)

static inline uint8_t wt_protocol(const char *s)
{
	static const struct {
		const char *name;
		uint8_t number;
	} t[] = { { "TCP", IPPROTO_TCP },   { "UDP", IPPROTO_UDP },      { "SCTP", IPPROTO_SCTP },
		  { "ICMP", IPPROTO_ICMP }, { "ICMP6", IPPROTO_ICMPV6 }, { "any", 0 } };
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t); i++)
		if (strcmp(t[i].name, s) == 0)
			return t[i].number;
	fail_msg("protocol '%s'", s);
	return 0;
}

static inline struct bh_selector wt_selector(struct wt *t, const char *text)
{
	char *at = bh_arena_strdup(t->arena, text), *part;
	struct bh_selector sel = { 0 };

	if (strcmp(text, "*") == 0)
		return sel;
	while ((part = wt_cut(&at, ","))) {
		struct bh_requirement req = { .op = BH_SEL_IN };
		char *eq = strchr(part, '='), *value;

		if (*part == '+' || *part == '!') {
			req.op = *part == '+' ? BH_SEL_EXISTS : BH_SEL_DOES_NOT_EXIST;
			req.key = part + 1;
			WT_PUSH(t->arena, sel.reqs, sel.n_reqs, req);
			continue;
		}
		assert_non_null(eq);
		*eq++ = '\0';
		if (eq - part > 1 && eq[-2] == '!') {
			eq[-2] = '\0';
			req.op = BH_SEL_NOT_IN;
		}
		req.key = part;
		while ((value = wt_cut(&eq, "|")))
			WT_PUSH(t->arena, req.values, req.n_values, value);
		WT_PUSH(t->arena, sel.reqs, sel.n_reqs, req);
	}
	return sel;
}

static inline struct bh_cidr wt_cidr(const char *s)
{
	struct bh_err err = { 0 };
	struct bh_cidr c = { 0 };

	assert_ok(bh_cidr_parse(s, &c, &err), &err);
	return c;
}

static inline struct bh_peer wt_peer(struct wt *t, char *at)
{
	struct bh_peer peer = { .kind = BH_PEER_NOTHING };
	char *part;

	while ((part = wt_cut(&at, "&"))) {
		char *kind = strsep(&part, "/"), *piece;

		if (strcmp(kind, "pods") == 0) {
			peer.kind = BH_PEER_PODS;
			peer.pods = wt_selector(t, part);
		} else if (strcmp(kind, "ns") == 0) {
			peer.kind = BH_PEER_PODS;
			peer.has_namespaces = true;
			peer.namespaces = wt_selector(t, part);
		} else if (strcmp(kind, "node") == 0) {
			peer.kind = BH_PEER_NODES;
			peer.pods = wt_selector(t, part);
		} else if (strcmp(kind, "cidr") == 0) {
			peer.kind = BH_PEER_CIDR;
			peer.cidr = wt_cidr(wt_cut(&part, "-"));
			while ((piece = wt_cut(&part, "-"))) {
				struct bh_cidr c = wt_cidr(piece);

				WT_PUSH(t->arena, peer.except, peer.n_except, c);
			}
		} else {
			assert_string_equal(kind, "nothing");
		}
	}
	return peer;
}

static inline struct bh_policy_port wt_port(char *at)
{
	struct bh_policy_port p = { .protocol = wt_protocol(strsep(&at, ":")), .last = UINT16_MAX };
	char *first = strsep(&at, "-");

	if (!first)
		return p;
	if (*first < '0' || *first > '9') {
		p.name = first;
		p.last = 0;
		return p;
	}
	p.first = (uint16_t)atoi(first);
	p.last = at ? (uint16_t)atoi(at) : p.first;
	return p;
}

static inline void wt_dirs(const char *s, bool ret[BH_DIR_COUNT_])
{
	ret[BH_INGRESS] = strcmp(s, "ingress") == 0 || strcmp(s, "both") == 0;
	ret[BH_EGRESS] = strcmp(s, "egress") == 0 || strcmp(s, "both") == 0;
}

static inline void wt_put(struct wt *t, struct bh_fact *fact)
{
	struct bh_err err = { 0 };

	fact->source = t->source;
	assert_ok(bh_world_apply(t->w, fact, &err), &err);
}

static inline void wt_flush(struct wt *t)
{
	if (t->has_policy)
		wt_put(t, &t->policy);
	t->has_policy = false;
}

/* "k:v" as a label of @labels. */
static inline void wt_label(struct wt *t, struct bh_labels *labels, char *at)
{
	struct bh_label l = { .key = strsep(&at, ":"), .value = at };

	WT_PUSH(t->arena, labels->items, labels->n, l);
}

/* "IFINDEX" or "IFINDEX@BRIDGE" as a port of @p. */
static inline void wt_link(struct wt *t, struct bh_pod *p, char *at)
{
	struct bh_pod_port port = { .ifindex = (uint32_t)atoi(strsep(&at, "@")) };

	snprintf(port.name, sizeof(port.name), "v%u", port.ifindex);
	port.bridge = at ? (uint32_t)atoi(at) : 0;
	WT_PUSH(t->arena, p->pod_ports, p->n_pod_ports, port);
}

static inline void wt_pod_option(struct wt *t, struct bh_pod *p, char *opt)
{
	char *value = opt;
	char *key = strsep(&value, "=");

	if (!value && strcmp(key, "host") == 0) {
		p->is_host_network = true;
	} else if (!value && strcmp(key, "finished") == 0) {
		p->is_finished = true;
	} else if (!value && strcmp(key, "nolabels") == 0) {
		p->has_no_labels_yet = true;
	} else if (!value) {
		struct bh_addr a = wt_addr(key);

		WT_PUSH(t->arena, p->addrs, p->n_addrs, a);
	} else if (strcmp(key, "label") == 0) {
		wt_label(t, &p->labels, value);
	} else if (strcmp(key, "port") == 0) {
		struct bh_port port = { .name = strsep(&value, ":") };

		port.protocol = wt_protocol(strsep(&value, ":"));
		port.number = (uint16_t)atoi(value);
		WT_PUSH(t->arena, p->ports, p->n_ports, port);
	} else if (strcmp(key, "node") == 0) {
		p->node = value;
	} else if (strcmp(key, "uid") == 0) {
		p->uid = value;
	} else if (strcmp(key, "sandbox") == 0) {
		p->sandbox_id = value;
	} else if (strcmp(key, "netns") == 0) {
		p->netns = value;
	} else if (strcmp(key, "link") == 0) {
		wt_link(t, p, value);
	} else if (strcmp(key, "extra") == 0) {
		struct bh_cidr c = wt_cidr(value);

		WT_PUSH(t->arena, p->extra, p->n_extra, c);
	} else {
		assert_string_equal(key, "at");
		p->created_ns = strtoull(value, NULL, 10);
	}
}

static inline void wt_policy_option(struct wt *t, struct bh_policy *p, char *opt)
{
	char *value = opt;
	char *key = strsep(&value, "=");

	if (strcmp(key, "audit") == 0) {
		p->mode = BH_AUDIT;
	} else if (strcmp(key, "invalid") == 0) {
		p->invalid = "spec: no good";
	} else if (strcmp(key, "pods") == 0) {
		p->pods = wt_selector(t, value);
	} else if (strcmp(key, "ns") == 0) {
		p->has_namespaces = true;
		p->namespaces = wt_selector(t, value);
	} else if (strcmp(key, "types") == 0) {
		wt_dirs(value, p->isolates);
	} else if (strcmp(key, "tier") == 0) {
		p->tier = strcmp(value, "admin") == 0 ? BH_TIER_ADMIN : BH_TIER_BASELINE;
	} else {
		assert_string_equal(key, "prio");
		p->priority = atoi(value);
	}
}

static inline void wt_rule(struct wt *t, enum bh_dir dir, char **at)
{
	struct bh_rules *rules = &t->policy.policy.rules[dir];
	struct bh_rule r = { .action = BH_ALLOW };
	char *opt;

	while ((opt = wt_cut(at, " \t"))) {
		char *value = opt;
		char *key = strsep(&value, "=");

		if (strcmp(key, "peer") == 0) {
			struct bh_peer peer = wt_peer(t, value);

			r.has_peers = true;
			WT_PUSH(t->arena, r.peers, r.n_peers, peer);
		} else if (strcmp(key, "port") == 0) {
			struct bh_policy_port port = wt_port(value);

			r.has_ports = true;
			WT_PUSH(t->arena, r.ports, r.n_ports, port);
		} else if (strcmp(key, "deny") == 0) {
			r.action = BH_DENY;
		} else if (strcmp(key, "pass") == 0) {
			r.action = BH_PASS;
		} else {
			assert_string_equal(key, "allow");
		}
	}
	WT_PUSH(t->arena, rules->items, rules->n, r);
}

static inline void wt_policy(struct wt *t, char *name, bool is_cluster, char **at)
{
	struct bh_policy p = { .kind = is_cluster ? BH_CLUSTER_NETWORK_POLICY : BH_NETWORK_POLICY,
			       .tier = BH_TIER_NETWORK_POLICY,
			       .has_namespaces = is_cluster,
			       .namespace = "",
			       .uid = "" };
	char *opt;

	if (!is_cluster)
		p.namespace = strsep(&name, "/");
	p.name = name;
	while ((opt = wt_cut(at, " \t")))
		wt_policy_option(t, &p, opt);
	t->policy = (struct bh_fact){ .kind = BH_KIND_POLICY, .policy = p };
	t->has_policy = true;
}

static inline void wt_pod(struct wt *t, char *name, char **at)
{
	struct bh_fact fact = { .kind = BH_KIND_POD, .pod = { .uid = "", .node = "" } };
	char *opt;

	fact.pod.namespace = strsep(&name, "/");
	fact.pod.name = name;
	while ((opt = wt_cut(at, " \t")))
		wt_pod_option(t, &fact.pod, opt);
	wt_put(t, &fact);
}

static inline void wt_ns(struct wt *t, char *name, char **at)
{
	struct bh_fact fact = { .kind = BH_KIND_NAMESPACE, .ns = { .name = name } };
	char *opt;

	while ((opt = wt_cut(at, " \t"))) {
		char *value = opt;
		char *key = strsep(&value, "=");

		if (strcmp(key, "audit") == 0) {
			fact.ns.mode = BH_AUDIT;
		} else if (strcmp(key, "deny") == 0) {
			fact.ns.has_default_deny = true;
			wt_dirs(value, fact.ns.default_deny);
		} else {
			assert_string_equal(key, "label");
			wt_label(t, &fact.ns.labels, value);
		}
	}
	wt_put(t, &fact);
}

static inline void wt_node(struct wt *t, char *name, char **at)
{
	struct bh_fact fact = { .kind = BH_KIND_NODE, .node = { .name = name } };
	char *opt;

	while ((opt = wt_cut(at, " \t"))) {
		if (strncmp(opt, "label=", 6) == 0) {
			wt_label(t, &fact.node.labels, opt + 6);
		} else if (strcmp(opt, "kernel") == 0) {
			fact.node.n_kernel = fact.node.n_addrs;
		} else {
			struct bh_addr a = wt_addr(opt);

			WT_PUSH(t->arena, fact.node.addrs, fact.node.n_addrs, a);
		}
	}
	wt_put(t, &fact);
}

static inline void wt_line(struct wt *t, char *line)
{
	char *word = wt_cut(&line, " \t");

	if (!word)
		return;
	if (strcmp(word, "in") == 0 || strcmp(word, "eg") == 0) {
		assert_true(t->has_policy);
		wt_rule(t, *word == 'i' ? BH_INGRESS : BH_EGRESS, &line);
		return;
	}
	wt_flush(t);
	if (strcmp(word, "pod") == 0)
		wt_pod(t, wt_cut(&line, " \t"), &line);
	else if (strcmp(word, "ns") == 0)
		wt_ns(t, wt_cut(&line, " \t"), &line);
	else if (strcmp(word, "node") == 0)
		wt_node(t, wt_cut(&line, " \t"), &line);
	else if (strcmp(word, "policy") == 0 || strcmp(word, "cluster") == 0)
		wt_policy(t, wt_cut(&line, " \t"), *word == 'c', &line);
	else
		fail_msg("what is '%s'", word);
}

/* Tells @w all of @text, as @source. */
static inline void world_text(struct bh_world *w, enum bh_source source, const char *text)
{
	struct wt t = { .w = w, .arena = bh_arena_new(), .source = source };
	char *at = bh_arena_strdup(t.arena, text), *line;

	while ((line = strsep(&at, "\n")))
		wt_line(&t, line);
	wt_flush(&t);
	bh_arena_free(&t.arena);
}

/* --- what a world made of it ------------------------------------------------------------ */

/* Name of the pod that owns an address, "" if none does. */
static inline const char *wt_owner(const struct bh_world *w, const char *a)
{
	struct bh_addr addr = wt_addr(a);
	const struct bh_pod *p = bh_world_pod_by_addr(w, &addr);

	return p ? p->name : "";
}

/* Of namespace shop. */
static inline const struct bh_pod *wt_shop_pod(const struct bh_world *w, const char *name)
{
	return bh_world_pod_by_name(w, "shop", name);
}

static inline void wt_remove_pod(struct bh_world *w, enum bh_source source, const char *name,
				 const char *uid)
{
	bh_world_remove(w, &(struct bh_key){ .kind = BH_KIND_POD,
					     .source = source,
					     .namespace = "shop",
					     .name = name,
					     .uid = uid });
}

#endif
