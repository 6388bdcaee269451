/*
 * What a container runtime answers.  The first byte chooses the message; every
 * sandbox that comes out goes through the table to a sink that looks at it.
 */
#include <stdlib.h>
#include <string.h>

#include "../../src/cri/messages.h"
#include "../../src/cri/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

/* What the header promises of a sandbox. */
static void on_put(void *ctx, const struct bh_fact *fact)
{
	const struct bh_pod *p = &fact->pod;
	size_t i;

	(void)ctx;
	check(bh_cri_is_id(p->sandbox_id, BH_CRI_MAX_ID));
	check(bh_cri_is_id(p->name, BH_CRI_MAX_NAME) &&
	      bh_cri_is_id(p->namespace, BH_CRI_MAX_NAME));
	check(strlen(p->uid) <= BH_CRI_MAX_UID);
	check(p->labels.n <= BH_CRI_MAX_LABELS && p->n_addrs <= BH_CRI_MAX_ADDRS);
	for (i = 1; i < p->labels.n; i++)
		check(strcmp(p->labels.items[i - 1].key, p->labels.items[i].key) < 0);
	for (i = 0; i < p->n_ports; i++)
		check(p->ports[i].number > 0 && p->ports[i].name[0] && p->ports[i].protocol);
	for (i = 0; i < p->n_addrs; i++)
		check(p->addrs[i].family < BH_FAMILY_COUNT_);
	check(!(p->is_finished || p->is_host_network) || p->n_addrs == 0);
}

static void on_delete(void *ctx, const struct bh_key *key)
{
	(void)ctx;
	check(key->name[0] && key->namespace[0]);
}

static void on_problem(void *ctx, enum bh_source source, const char *subject, const char *text)
{
	(void)ctx;
	(void)source;
	check(subject[0] && (!text || text[0]));
}

static void show(const struct bh_sandbox *s)
{
	const struct bh_sink sink = {
		.on_put = on_put,
		.on_delete = on_delete,
		.on_problem = on_problem,
	};
	struct bh_cri_table *t = bh_cri_table_new(&sink, "node");

	check(bh_cri_table_put(t, s, NULL) == 0);
	check(bh_cri_table_put(t, s, NULL) == 0);
	bh_cri_table_add_ports(t, s->id, s->ports, s->n_ports);
	bh_cri_table_finish(t, s->id);
	bh_cri_table_remove(t, s->id);
	bh_cri_table_free(&t);
}

static void try_list(const uint8_t *data, size_t len, struct bh_arena *arena)
{
	struct bh_cri_list list;
	size_t i;

	if (bh_cri_decode_list(data, len, arena, &list, NULL) < 0)
		return;
	for (i = 0; i < list.n; i++)
		show(&list.items[i]);
}

static void try_object(const uint8_t *data, size_t len, struct bh_arena *arena)
{
	struct bh_containerd_object o;

	if (bh_containerd_decode_object(data, len, arena, &o, NULL) == 0 &&
	    o.kind == BH_OBJECT_SANDBOX)
		show(&o.sandbox);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bh_arena *arena = bh_arena_new();
	struct bh_cri_container *containers, container;
	struct bh_sandbox s;
	struct bh_event ev;
	char version[64];
	size_t n;

	switch (len > 0 ? data[0] : 0xff) {
	case 'l': try_list(data + 1, len - 1, arena); break;
	case 's':
		if (bh_cri_decode_status(data + 1, len - 1, arena, &s, NULL) > 0)
			show(&s);
		break;
	case 'c': bh_cri_decode_containers(data + 1, len - 1, arena, &containers, &n, NULL); break;
	case 'v': bh_cri_decode_version(data + 1, len - 1, version, NULL); break;
	case 'e': bh_containerd_decode_event(data + 1, len - 1, &ev, NULL); break;
	case 'o': try_object(data + 1, len - 1, arena); break;
	case 'S':
		if (bh_containerd_parse_sandbox((const char *)data + 1, len - 1, 1, arena, &s,
						NULL) > 0)
			show(&s);
		break;
	case 'C':
		bh_containerd_parse_container((const char *)data + 1, len - 1, arena, &container,
					      NULL);
		break;
	}
	bh_arena_free(&arena);
	return 0;
}
