/*
 * What the simulator is told.
 */
#include <errno.h>
#include <string.h>

#include "sim.h"

struct bh_sim *bh_sim_new(const struct bh_sim_config *config)
{
	struct bh_sim *sim = bh_calloc(1, sizeof(*sim));

	sim->arena = bh_arena_new();
	sim->world = bh_world_new(&config->world);
	sim->is_compat = config->is_compat;
	sim->memo = bh_arena_alloc(sim->arena, sizeof(*sim->memo));
	return sim;
}

void bh_sim_free(struct bh_sim **ret)
{
	struct bh_sim *sim = *ret;

	if (!sim)
		return;
	/* The elements are the arena's. */
	HASH_CLEAR(hh, sim->seen);
	HASH_CLEAR(hh, sim->made_up);
	HASH_CLEAR(hh, sim->service_addrs);
	sim_forget_texts(sim->memo);
	bh_world_free(&sim->world);
	free(sim->templates);
	free(sim->services);
	free(sim->workloads);
	free(sim->refs);
	free(sim->remarks);
	free(sim->duplicates);
	free(sim->skipped);
	bh_arena_free(&sim->arena);
	free(sim);
	*ret = NULL;
}

/* --- what is said of objects --------------------------------------------------------- */

static const char *copy_text(struct bh_sim *sim, const char *s)
{
	return s ? bh_arena_strdup(sim->arena, s) : NULL;
}

static void add_remark(struct bh_sim *sim, const struct bh_decoded *d, int line, const char *text,
		       bool is_error)
{
	bh_grow(&sim->remarks, &sim->cap_remarks, sim->n_remarks, sizeof(*sim->remarks));
	sim->remarks[sim->n_remarks++] = (struct bh_sim_remark){
		.file = copy_text(sim, bh_decoded_file(d)),
		.line = line,
		.subject = copy_text(sim, bh_decoded_subject(d)),
		.text = copy_text(sim, text),
		.is_error = is_error,
	};
}

static void add_remarks(struct bh_sim *sim, const struct bh_decoded *d)
{
	const struct bh_decode_warning *warnings;
	size_t i, n = bh_decoded_warnings(d, &warnings);

	if (bh_decoded_status(d) == BH_DECODE_INVALID)
		add_remark(sim, d, bh_decoded_error_line(d), bh_decoded_fact(d)->policy.invalid,
			   true);
	for (i = 0; i < n; i++)
		add_remark(sim, d, warnings[i].line, warnings[i].text, false);
}

/* Sorted by kind; there are few kinds. */
static void count_skipped(struct bh_sim *sim, const struct bh_decoded *d)
{
	const char *subject = bh_decoded_subject(d);
	size_t len = strcspn(subject, " "), at;
	const char *kind = bh_arena_strndup(sim->arena, subject, len);

	for (at = sim->n_skipped; at > 0; at--) {
		int c = strcmp(sim->skipped[at - 1].kind, kind);

		if (c == 0) {
			sim->skipped[at - 1].n++;
			return;
		}
		if (c < 0)
			break;
	}
	bh_grow(&sim->skipped, &sim->cap_skipped, sim->n_skipped, sizeof(*sim->skipped));
	memmove(&sim->skipped[at + 1], &sim->skipped[at],
		(sim->n_skipped - at) * sizeof(*sim->skipped));
	sim->skipped[at] = (struct bh_sim_skipped){ .kind = kind, .n = 1 };
	sim->n_skipped++;
}

/* --- objects of one name --------------------------------------------------------------- */

static struct seen *find_seen(const struct bh_sim *sim, const char *subject)
{
	struct seen *s;

	HASH_FIND_STR(sim->seen, subject, s);
	return s;
}

static void add_duplicate(struct bh_sim *sim, const struct seen *s, const struct bh_decoded *d)
{
	bh_grow(&sim->duplicates, &sim->cap_duplicates, sim->n_duplicates,
		sizeof(*sim->duplicates));
	sim->duplicates[sim->n_duplicates++] = (struct bh_sim_duplicate){
		.subject = s->subject,
		.file = s->file,
		.line = s->line,
		.other_file = copy_text(sim, bh_decoded_file(d)),
		.other_line = bh_decoded_line(d),
	};
}

/* The record of the object's name, with the place of @d. */
static struct seen *note_seen(struct bh_sim *sim, const struct bh_decoded *d)
{
	struct seen *s = find_seen(sim, bh_decoded_subject(d));

	if (s) {
		add_duplicate(sim, s, d);
	} else {
		s = bh_arena_alloc(sim->arena, sizeof(*s));
		s->subject = bh_arena_strdup(sim->arena, bh_decoded_subject(d));
		HASH_ADD_KEYPTR(hh, sim->seen, s->subject, strlen(s->subject), s);
	}
	s->file = copy_text(sim, bh_decoded_file(d));
	s->line = bh_decoded_line(d);
	return s;
}

/* --- adding ------------------------------------------------------------------------------ */

/* As others see it: every pod is an ordinary one, and in no block of addresses. */
static void make_ordinary(struct bh_pod *pod)
{
	pod->is_host_network = false;
	pod->is_finished = false;
	pod->n_addrs = 0;
}

/* A Pod of another uid is another pod to the world, but the same one to `kubectl apply`. */
static void forget_pod(struct bh_sim *sim, const struct seen *s, const struct bh_pod *pod)
{
	struct bh_key key = { .kind = BH_KIND_POD,
			      .source = BH_SOURCE_MANIFEST,
			      .namespace = pod->namespace,
			      .name = pod->name,
			      .uid = s->pod_uid };

	if (s->pod_uid && strcmp(s->pod_uid, pod->uid) != 0)
		bh_world_remove(sim->world, &key);
}

static int add_fact(struct bh_sim *sim, const struct bh_decoded *d, struct bh_err *err)
{
	struct bh_fact fact = *bh_decoded_fact(d);
	struct seen *s;
	int r;

	fact.source = BH_SOURCE_MANIFEST;
	if (fact.kind == BH_KIND_POD && sim->is_compat)
		make_ordinary(&fact.pod);
	r = bh_world_apply(sim->world, &fact, err);
	if (r < 0)
		return r;
	s = note_seen(sim, d);
	if (fact.kind == BH_KIND_POD) {
		forget_pod(sim, s, &fact.pod);
		s->pod_uid = bh_arena_strdup(sim->arena, fact.pod.uid);
	}
	return 0;
}

/* Each makes two pods at most. */
static int check_room(const struct bh_sim *sim, const char *subject, struct bh_err *err)
{
	if (bh_world_stats(sim->world).n_pods + 2 * sim->n_templates + 2 <= BH_MAX_PODS &&
	    sim->n_services < BH_MAX_PODS)
		return 0;
	return bh_err(err, -E2BIG, "%s: there are %d pods or services already", subject,
		      BH_MAX_PODS);
}

static int add_workload(struct bh_sim *sim, const struct bh_decoded *d, struct bh_err *err)
{
	struct template *t;
	struct seen *s;
	int r = check_room(sim, bh_decoded_subject(d), err);

	if (r < 0)
		return r;
	s = note_seen(sim, d);
	t = s->template;
	if (!t) {
		t = s->template = bh_arena_alloc(sim->arena, sizeof(*t));
		bh_grow(&sim->templates, &sim->cap_templates, sim->n_templates,
			sizeof(struct template *));
		sim->templates[sim->n_templates++] = t;
	}
	sim_copy_workload(sim, bh_decoded_workload(d), &t->w);
	if (sim->is_compat)
		make_ordinary(&t->w.pod);
	return 0;
}

static int add_service(struct bh_sim *sim, const struct bh_decoded *d, struct bh_err *err)
{
	struct service *service;
	struct seen *s;
	int r = check_room(sim, bh_decoded_subject(d), err);

	if (r < 0)
		return r;
	s = note_seen(sim, d);
	service = s->service;
	if (!service) {
		service = s->service = bh_arena_alloc(sim->arena, sizeof(*service));
		bh_grow(&sim->services, &sim->cap_services, sim->n_services,
			sizeof(struct bh_service *));
		sim->services[sim->n_services++] = &service->pub;
	}
	sim_copy_service(sim, bh_decoded_service(d), &service->pub);
	return 0;
}

int bh_sim_add(struct bh_sim *sim, const struct bh_decoded *d, struct bh_err *err)
{
	add_remarks(sim, d);
	switch (bh_decoded_status(d)) {
	case BH_DECODE_SKIPPED: count_skipped(sim, d); return 0;
	case BH_DECODED_WORKLOAD: return add_workload(sim, d, err);
	case BH_DECODED_SERVICE: return add_service(sim, d, err);
	case BH_DECODED:
	case BH_DECODE_INVALID: break;
	}
	return add_fact(sim, d, err);
}

static int by_name(const void *a, const void *b)
{
	const struct bh_service *s = *(struct bh_service *const *)a;
	const struct bh_service *t = *(struct bh_service *const *)b;
	int c = strcmp(s->namespace, t->namespace);

	return c ? c : strcmp(s->name, t->name);
}

/* Of several Services with one address, which no cluster has, the first. */
static void index_services(struct bh_sim *sim)
{
	size_t i, k;

	if (sim->n_services)
		bh_sort(sim->services, sim->n_services, sizeof(struct bh_service *), by_name);
	for (i = 0; i < sim->n_services; i++) {
		const struct bh_service *s = sim->services[i];

		for (k = 0; k < s->n_addrs; k++) {
			struct service_addr *at;

			HASH_FIND(hh, sim->service_addrs, &s->addrs[k], sizeof(s->addrs[k]), at);
			if (at)
				continue;
			at = bh_arena_alloc(sim->arena, sizeof(*at));
			at->addr = s->addrs[k];
			at->service = s;
			HASH_ADD(hh, sim->service_addrs, addr, sizeof(at->addr), at);
		}
	}
}

void bh_sim_finish(struct bh_sim *sim)
{
	index_services(sim);
	sim_find_owners(sim);
	sim_make_pods(sim);
	sim_make_nodes(sim);
	sim_make_addrs(sim);
	sim_group_pods(sim);
	sim_compare_priorities(sim);
	bh_world_settle(sim->world);
}

/* --- reading ------------------------------------------------------------------------------ */

struct bh_world *bh_sim_world(const struct bh_sim *sim)
{
	return sim->world;
}

bool bh_sim_is_compat(const struct bh_sim *sim)
{
	return sim->is_compat;
}

size_t bh_sim_services(const struct bh_sim *sim, const struct bh_service *const **ret)
{
	*ret = (const struct bh_service *const *)sim->services;
	return sim->n_services;
}

size_t bh_sim_remarks(const struct bh_sim *sim, const struct bh_sim_remark **ret)
{
	*ret = sim->remarks;
	return sim->n_remarks;
}

size_t bh_sim_duplicates(const struct bh_sim *sim, const struct bh_sim_duplicate **ret)
{
	*ret = sim->duplicates;
	return sim->n_duplicates;
}

size_t bh_sim_skipped(const struct bh_sim *sim, const struct bh_sim_skipped **ret)
{
	*ret = sim->skipped;
	return sim->n_skipped;
}

bool bh_sim_has_namespace(const struct bh_sim *sim, const char *name)
{
	bh_auto_free char *subject = bh_asprintf("Namespace %s", name);

	return find_seen(sim, subject) != NULL;
}
