#include "future.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/hash.h"
#include "bh/selector.h"
#include "labels.h"

/* Enough for what people write; beyond them the future is cut. */
#define MAX_PODS        20000
#define MAX_NAMED_PORTS 256
#define MAX_SPACES      64

const struct future_limits future_few = {
	.n_pods = 16,
	.n_spaces = 8,
	.n_made_up_spaces = 4,
};
const struct future_limits future_many = {
	.n_pods = 64,
	.n_spaces = MAX_SPACES,
	.n_made_up_spaces = 32,
};

#define NAME_LABEL "kubernetes.io/metadata.name"

/* What a selector's pods are found by, and what a pod that was made is found by. */
struct future_key {
	const struct bh_pod *pod;
	const char *pod_name, *pod_namespace;
	UT_hash_handle hh;
	char text[];
};

struct made_up_space {
	const char *name;
	UT_hash_handle hh;
	char text[]; /* of its labels */
};

struct maker {
	struct future *f;
	const struct future_limits *limits;
	const struct bh_world *old;
	struct vocabulary pods, spaces;
	struct bh_port *ports; /* every name that a policy uses, at a number of its own */
	size_t n_ports;
	struct made_up_space *made_up;
	size_t n_made_up;

	/* Of the selectors that are at hand. */
	const char *space_names[MAX_SPACES];
	size_t n_spaces;
	struct future_key *key;
};

/* --- the copy ---------------------------------------------------------------------------- */

static void put(struct future *f, struct bh_fact *fact)
{
	fact->source = BH_SOURCE_MANIFEST;
	/* It fits: the world that is copied has the same limits. */
	bh_world_apply(f->w, fact, NULL);
}

/*
 * The world made it from its configuration, which the copy does not have.  The modes of
 * other policies are copied with them.
 */
static void copy_default_deny(struct maker *m, struct bh_namespace *ns)
{
	const struct bh_policy *const *policies;
	size_t i, n = bh_world_policies_of(m->old, ns->name, &policies), d;

	ns->has_default_deny = true;
	ns->mode = BH_ENFORCE;
	memset(ns->default_deny, 0, sizeof(ns->default_deny));
	for (i = 0; i < n; i++) {
		if (policies[i]->kind != BH_DEFAULT_DENY)
			continue;
		ns->mode = bh_world_policy_mode(m->old, policies[i]);
		for (d = 0; d < BH_DIR_COUNT_; d++)
			ns->default_deny[d] |= policies[i]->rules[d].n > 0;
	}
}

static void copy_world(struct maker *m)
{
	const struct bh_namespace *const *spaces;
	const struct bh_policy *const *policies;
	const struct bh_node *const *nodes;
	const struct bh_pod *const *pods;
	size_t i, n;

	n = bh_world_namespaces(m->old, &spaces);
	for (i = 0; i < n; i++) {
		struct bh_fact f = { .kind = BH_KIND_NAMESPACE, .ns = *spaces[i] };

		copy_default_deny(m, &f.ns);
		put(m->f, &f);
	}
	n = bh_world_nodes(m->old, &nodes);
	for (i = 0; i < n; i++) {
		struct bh_fact f = { .kind = BH_KIND_NODE, .node = *nodes[i] };

		put(m->f, &f);
	}
	n = bh_world_policies(m->old, &policies);
	for (i = 0; i < n; i++) {
		struct bh_fact f = { .kind = BH_KIND_POLICY, .policy = *policies[i] };

		f.policy.mode = bh_world_policy_mode(m->old, policies[i]);
		if (f.policy.kind != BH_DEFAULT_DENY && f.policy.kind != BH_QUARANTINE)
			put(m->f, &f);
	}
	n = bh_world_pods(m->old, &pods);
	for (i = 0; i < n; i++) {
		struct bh_fact f = { .kind = BH_KIND_POD, .pod = *pods[i] };

		/* Among the copies nobody claims what it lost. */
		f.pod.has_no_labels_yet = bh_pod_is_closed(pods[i]);
		f.pod.is_quarantined &= bh_world_honours(m->old, BH_ANNOTATION_QUARANTINE,
							 pods[i]->namespace, NULL);
		put(m->f, &f);
	}
}

/* --- ports by name --------------------------------------------------------------------------- */

static void add_port(struct maker *m, const struct bh_policy_port *p)
{
	struct bh_port *port = &m->ports[m->n_ports];
	size_t i;

	if (!p->name)
		return;
	for (i = 0; i < m->n_ports; i++)
		if (strcmp(m->ports[i].name, p->name) == 0 && m->ports[i].protocol == p->protocol)
			return;
	if (m->n_ports == MAX_NAMED_PORTS) {
		m->f->is_cut = true;
		return;
	}
	*port = (struct bh_port){ .name = p->name,
				  .number = (uint16_t)(61000 + m->n_ports),
				  .protocol = p->protocol ? p->protocol : IPPROTO_TCP };
	m->n_ports++;
}

/* --- namespaces ------------------------------------------------------------------ */

static void canonical_labels(const struct bh_labels *labels, struct bh_buf *out)
{
	size_t i;

	for (i = 0; i < labels->n; i++)
		bh_buf_printf(out, "%s=%s\n", labels->items[i].key, labels->items[i].value);
}

static void use_space(struct maker *m, const char *name)
{
	size_t i;

	for (i = 0; i < m->n_spaces; i++)
		if (strcmp(m->space_names[i], name) == 0)
			return;
	/* Of many that are there, some do: a made-up one that nobody names comes first. */
	if (m->n_spaces < m->limits->n_spaces)
		m->space_names[m->n_spaces++] = name;
}

static struct made_up_space *new_space(struct maker *m, const char *text, size_t len,
				       const struct bh_labels *labels)
{
	struct bh_fact f = { .kind = BH_KIND_NAMESPACE, .ns = { .labels = *labels } };
	struct made_up_space *s = bh_arena_alloc(m->f->arena, sizeof(*s) + len + 1);
	const char *name = bh_labels_get(labels, NAME_LABEL);

	if (name && strcmp(name, LABEL_OF_NOBODY) != 0)
		s->name = name;
	else
		s->name = bh_arena_printf(m->f->arena, "%s-%zu", LABEL_OF_NOBODY, ++m->n_made_up);
	memcpy(s->text, text, len);
	HASH_ADD(hh, m->made_up, text, (unsigned int)len, s);
	f.ns.name = s->name;
	put(m->f, &f);
	return s;
}

static void on_space_labels(void *ctx, const struct bh_labels *labels)
{
	const char *name = bh_labels_get(labels, NAME_LABEL);
	struct maker *m = ctx;
	struct bh_buf text = { 0 };
	struct made_up_space *s;

	/* One that is there has the labels that it has. */
	if (name && bh_world_namespace(m->f->w, name))
		return;
	canonical_labels(labels, &text);
	HASH_FIND(hh, m->made_up, bh_buf_str(&text), (unsigned int)text.len, s);
	if (!s)
		s = new_space(m, bh_buf_str(&text), text.len, labels);
	use_space(m, s->name);
	bh_buf_done(&text);
}

/* The namespaces that a selector is about: made-up ones first. */
static void find_spaces(struct maker *m, const char *own_ns, const struct bh_selector *sel)
{
	const struct bh_namespace *const *spaces;
	size_t i, n;

	m->n_spaces = 0;
	if (!sel) {
		use_space(m, own_ns);
		return;
	}
	if (!labels_each(sel, &m->spaces, m->limits->n_made_up_spaces, m->f->arena, on_space_labels,
			 m))
		m->f->is_cut = true;
	n = bh_world_namespaces(m->old, &spaces);
	for (i = 0; i < n; i++)
		if (bh_selector_matches(sel, &spaces[i]->labels))
			use_space(m, spaces[i]->name);
}

/* --- pods ------------------------------------------------------------------------ */

static struct future_key *key_of(const struct future *f, const struct bh_buf *text)
{
	struct future_key *k;

	HASH_FIND(hh, f->keys, bh_buf_str(text), (unsigned int)text->len, k);
	return k;
}

static struct future_key *add_key(struct future *f, const struct bh_buf *text)
{
	struct future_key *k = bh_arena_alloc(f->arena, sizeof(*k) + text->len + 1);

	memcpy(k->text, bh_buf_str(text), text->len);
	HASH_ADD(hh, f->keys, text, (unsigned int)text->len, k);
	return k;
}

static struct future_key *new_pod(struct maker *m, const char *ns, const struct bh_labels *labels,
				  const struct bh_buf *text)
{
	struct future *f = m->f;
	struct future_key *k = add_key(f, text);
	struct bh_fact fact = { .kind = BH_KIND_POD,
				.pod = { .namespace = ns,
					 .uid = "",
					 .node = "",
					 .labels = *labels,
					 .ports = m->ports,
					 .n_ports = m->n_ports } };

	k->pod_namespace = ns;
	k->pod_name = bh_arena_printf(f->arena, "%s-%zu", LABEL_OF_NOBODY, ++f->n_pods);
	fact.pod.name = k->pod_name;
	put(f, &fact);
	return k;
}

static void on_pod_labels(void *ctx, const struct bh_labels *labels)
{
	struct maker *m = ctx;
	struct future_key *k;
	size_t i;

	for (i = 0; i < m->n_spaces; i++) {
		struct bh_buf text = { 0 };

		bh_buf_printf(&text, "pod %s\n", m->space_names[i]);
		canonical_labels(labels, &text);
		k = key_of(m->f, &text);
		if (!k && m->f->n_pods == MAX_PODS)
			m->f->is_cut = true;
		else if (!k)
			k = new_pod(m, m->space_names[i], labels, &text);
		if (k && !m->key->pod_name) {
			m->key->pod_name = k->pod_name;
			m->key->pod_namespace = k->pod_namespace;
		}
		bh_buf_done(&text);
	}
}

static void selector_key(const char *own_ns, const struct bh_selector *spaces,
			 const struct bh_selector *pods, struct bh_buf *out)
{
	if (spaces) {
		bh_buf_puts(out, "all ");
		bh_selector_canonical(spaces, out);
	} else {
		bh_buf_printf(out, "own %s", own_ns);
	}
	bh_buf_putc(out, '\n');
	bh_selector_canonical(pods, out);
}

static void make_pods(struct maker *m, const char *own_ns, const struct bh_selector *spaces,
		      const struct bh_selector *pods)
{
	struct bh_buf text = { 0 };

	selector_key(own_ns, spaces, pods, &text);
	if (!key_of(m->f, &text)) {
		m->key = add_key(m->f, &text);
		find_spaces(m, own_ns, spaces);
		if (!labels_each(pods, &m->pods, m->limits->n_pods, m->f->arena, on_pod_labels, m))
			m->f->is_cut = true;
	}
	bh_buf_done(&text);
}

/* --- all of them ----------------------------------------------------------------- */

/* Calls @on_pods for the policy and for every peer of it that selects pods. */
static void each_selector(struct maker *m, const struct bh_policy *p,
			  void (*on_pods)(struct maker *m, const char *own_ns,
					  const struct bh_selector *spaces,
					  const struct bh_selector *pods))
{
	size_t d, i, k;

	on_pods(m, p->namespace, p->has_namespaces ? &p->namespaces : NULL, &p->pods);
	for (d = 0; d < BH_DIR_COUNT_; d++) {
		for (i = 0; i < p->rules[d].n; i++) {
			const struct bh_rule *r = &p->rules[d].items[i];

			for (k = 0; k < r->n_peers; k++) {
				const struct bh_peer *peer = &r->peers[k];

				if (peer->kind == BH_PEER_PODS)
					on_pods(m, p->namespace,
						peer->has_namespaces ? &peer->namespaces : NULL,
						&peer->pods);
			}
		}
	}
}

static void learn_words(struct maker *m, const char *own_ns, const struct bh_selector *spaces,
			const struct bh_selector *pods)
{
	(void)own_ns;
	vocabulary_add(&m->pods, pods);
	if (spaces)
		vocabulary_add(&m->spaces, spaces);
}

static void learn_ports(struct maker *m, const struct bh_policy *p)
{
	size_t d, i, k;

	for (d = 0; d < BH_DIR_COUNT_; d++)
		for (i = 0; i < p->rules[d].n; i++)
			for (k = 0; k < p->rules[d].items[i].n_ports; k++)
				add_port(m, &p->rules[d].items[i].ports[k]);
}

/* Pods of the world are at their final place once it is settled. */
static void look_up_pods(struct future *f)
{
	struct future_key *k, *next;
	size_t n = 0;

	f->pods = bh_arena_array(f->arena, f->n_pods, sizeof(const struct bh_pod *));
	HASH_ITER (hh, f->keys, k, next) {
		if (k->pod_name)
			k->pod = bh_world_pod_by_name(f->w, k->pod_namespace, k->pod_name);
		if (k->pod && strncmp(k->text, "pod ", 4) == 0)
			f->pods[n++] = k->pod;
	}
	/* Where the world was full, not every one came in. */
	f->is_cut |= n < f->n_pods;
	f->n_pods = n;
}

struct future *future_new(const struct bh_world *w, const struct future_limits *limits)
{
	static const struct bh_selector everybody;
	/* Else a default deny of a world in audit would close its pods. */
	const struct bh_world_config config = {
		.mode = bh_world_mode(w),
		.trust.of = { [BH_ANNOTATION_MODE] = BH_TRUST_ALL,
			      [BH_ANNOTATION_DEFAULT_DENY] = BH_TRUST_ALL,
			      [BH_ANNOTATION_QUARANTINE] = BH_TRUST_ALL },
	};
	struct future *f = bh_calloc(1, sizeof(*f));
	struct maker m = { .f = f, .limits = limits, .old = w };
	const struct bh_policy *const *policies;
	size_t i, n = bh_world_policies(w, &policies);

	f->arena = bh_arena_new();
	f->w = bh_world_new(&config);
	m.ports = bh_arena_array(f->arena, MAX_NAMED_PORTS + 1, sizeof(*m.ports));
	copy_world(&m);
	for (i = 0; i < n; i++) {
		each_selector(&m, policies[i], learn_words);
		learn_ports(&m, policies[i]);
	}
	/* Somebody of whom nobody says anything, in a namespace of the kind. */
	make_pods(&m, "", &everybody, &everybody);
	for (i = 0; i < n; i++)
		each_selector(&m, policies[i], make_pods);
	bh_world_settle(f->w);
	look_up_pods(f);
	HASH_CLEAR(hh, m.made_up);
	vocabulary_done(&m.pods);
	vocabulary_done(&m.spaces);
	return f;
}

void future_free(struct future **f)
{
	if (!*f)
		return;
	HASH_CLEAR(hh, (*f)->keys);
	bh_world_free(&(*f)->w);
	bh_arena_free(&(*f)->arena);
	free(*f);
	*f = NULL;
}

const struct bh_pod *future_pod(const struct future *f, const char *own_ns,
				const struct bh_selector *namespaces,
				const struct bh_selector *pods)
{
	struct bh_buf text = { 0 };
	const struct future_key *k;

	selector_key(own_ns, namespaces, pods, &text);
	k = key_of(f, &text);
	bh_buf_done(&text);
	return k ? k->pod : NULL;
}
