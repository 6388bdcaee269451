#include "messages.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bh/clock.h"
#include "src/cri/containerd.pb-c.h"
#include "src/cri/runtime.pb-c.h"

/*
 * A message of 16 MiB could unfold to a gigabyte of empty parts.  This many
 * bytes hold 10000 sandboxes with 40 labels each.
 */
#define MAX_UNFOLDED (96u << 20)

struct budget {
	size_t left;
};

static void *budget_alloc(void *ctx, size_t size)
{
	struct budget *b = ctx;

	if (size > b->left)
		return NULL;
	b->left -= size;
	return malloc(size);
}

static void budget_free(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

#define BUDGET(name)                                                                               \
	struct budget name##_budget = { .left = MAX_UNFOLDED };                                    \
	ProtobufCAllocator name = { .alloc = budget_alloc,                                         \
				    .free = budget_free,                                           \
				    .allocator_data = &name##_budget }

static int bad(const struct budget *b, const char *what, struct bh_err *err)
{
	if (b->left < 65536)
		return bh_err(err, -ENOMEM, "%s is too large", what);
	return bh_err(err, -EBADMSG, "%s is malformed", what);
}

static void pack(const ProtobufCMessage *m, struct bh_buf *out)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	bh_auto_free uint8_t *bytes = bh_malloc(len);

	protobuf_c_message_pack(m, bytes);
	bh_buf_add(out, bytes, len);
}

/* protobuf-c's strings are not const; nothing writes to them here. */
static char *unconst(const char *s)
{
	union {
		const char *in;
		char *out;
	} u = { .in = s };

	return u.out;
}

/* --- CRI ------------------------------------------------------------------------ */

void bh_cri_encode_version(struct bh_buf *out)
{
	Bh__Cri__VersionRequest m;

	bh__cri__version_request__init(&m);
	m.version = unconst("v1");
	pack(&m.base, out);
}

void bh_cri_encode_list(struct bh_buf *out)
{
	Bh__Cri__ListPodSandboxRequest m;

	bh__cri__list_pod_sandbox_request__init(&m);
	pack(&m.base, out);
}

void bh_cri_encode_status(const char *id, struct bh_buf *out)
{
	Bh__Cri__PodSandboxStatusRequest m;

	bh__cri__pod_sandbox_status_request__init(&m);
	m.pod_sandbox_id = unconst(id);
	m.verbose = true;
	pack(&m.base, out);
}

int bh_cri_decode_version(const uint8_t *data, size_t len, char ret[64], struct bh_err *err)
{
	BUDGET(mem);
	struct bh_buf safe = { 0 };
	Bh__Cri__VersionResponse *m;

	m = bh__cri__version_response__unpack(&mem, len, data);
	if (!m)
		return bad(&mem_budget, "the answer to Version", err);
	bh_buf_escape(&safe, m->runtime_name);
	bh_buf_putc(&safe, ' ');
	bh_buf_escape(&safe, m->runtime_version);
	snprintf(ret, 64, "%s", bh_buf_str(&safe));
	bh_buf_done(&safe);
	bh__cri__version_response__free_unpacked(m, &mem);
	return 0;
}

static struct bh_label *pairs(Bh__Cri__Pair *const *items, size_t n, struct bh_arena *arena)
{
	struct bh_label *labels = bh_arena_array(arena, n, sizeof(*labels));
	size_t i;

	for (i = 0; i < n; i++)
		labels[i] = (struct bh_label){ .key = items[i]->key, .value = items[i]->value };
	return labels;
}

static uint64_t created(int64_t ns)
{
	return ns > 0 ? (uint64_t)ns : 0;
}

static int make_listed(const Bh__Cri__PodSandbox *m, struct bh_arena *arena, struct bh_sandbox *ret,
		       struct bh_err *err)
{
	const struct bh_sandbox_raw raw = {
		.id = m->id,
		.namespace = m->metadata ? m->metadata->namespace_ : NULL,
		.name = m->metadata ? m->metadata->name : NULL,
		.uid = m->metadata ? m->metadata->uid : NULL,
		.attempt = m->metadata ? m->metadata->attempt : 0,
		.labels = pairs(m->labels, m->n_labels, arena),
		.n_labels = m->n_labels,
		.annotations = pairs(m->annotations, m->n_annotations, arena),
		.n_annotations = m->n_annotations,
		.has_state = true,
		.is_finished = m->state != 0,
		.created_ns = created(m->created_at),
	};

	return bh_sandbox_make(&raw, arena, ret, err);
}

int bh_cri_decode_list(const uint8_t *data, size_t len, struct bh_arena *arena,
		       struct bh_cri_list *ret, struct bh_err *err)
{
	BUDGET(mem);
	struct bh_cri_list list = { 0 };
	Bh__Cri__ListPodSandboxResponse *m;
	size_t i;
	int r = 0;

	m = bh__cri__list_pod_sandbox_response__unpack(&mem, len, data);
	if (!m)
		return bad(&mem_budget, "the list of sandboxes", err);
	if (m->n_items > BH_CRI_MAX_SANDBOXES) {
		r = bh_err(err, -E2BIG, "%zu sandboxes are over %d", m->n_items,
			   BH_CRI_MAX_SANDBOXES);
		bh__cri__list_pod_sandbox_response__free_unpacked(m, &mem);
		return r;
	}
	list.items = bh_arena_array(arena, m->n_items, sizeof(*list.items));
	for (i = 0; i < m->n_items; i++) {
		struct bh_err why = { 0 };

		r = make_listed(m->items[i], arena, &list.items[list.n], &why);
		if (r > 0)
			list.n++;
		else if (r < 0 && list.n_malformed++ == 0)
			list.why = why;
	}
	bh__cri__list_pod_sandbox_response__free_unpacked(m, &mem);
	*ret = list;
	return 0;
}

static const char **addresses(const Bh__Cri__PodSandboxNetworkStatus *net, struct bh_arena *arena,
			      size_t *ret_n)
{
	size_t i, n = net ? 1 + net->n_additional_ips : 0;
	const char **addrs = bh_arena_array(arena, n, sizeof(*addrs));

	for (i = 0; i < n; i++)
		addrs[i] = i == 0 ? net->ip : net->additional_ips[i - 1]->ip;
	*ret_n = n;
	return addrs;
}

static bool is_on_host_network(const Bh__Cri__LinuxPodSandboxStatus *l)
{
	return l && l->namespaces && l->namespaces->options && l->namespaces->options->network == 2;
}

static const char *find_netns(const Bh__Cri__PodSandboxStatusResponse *m, struct bh_arena *arena)
{
	size_t i;

	for (i = 0; i < m->n_info; i++)
		if (strcmp(m->info[i]->key, "info") == 0)
			return bh_cri_parse_info(m->info[i]->value, arena);
	return NULL;
}

static int make_status(const Bh__Cri__PodSandboxStatus *m, const char *netns,
		       struct bh_arena *arena, struct bh_sandbox *ret, struct bh_err *err)
{
	struct bh_sandbox_raw raw = {
		.id = m->id,
		.namespace = m->metadata ? m->metadata->namespace_ : NULL,
		.name = m->metadata ? m->metadata->name : NULL,
		.uid = m->metadata ? m->metadata->uid : NULL,
		.attempt = m->metadata ? m->metadata->attempt : 0,
		.labels = pairs(m->labels, m->n_labels, arena),
		.n_labels = m->n_labels,
		.annotations = pairs(m->annotations, m->n_annotations, arena),
		.n_annotations = m->n_annotations,
		.netns = netns,
		.has_network = true,
		.is_host_network = is_on_host_network(m->linux),
		.has_state = true,
		.is_finished = m->state != 0,
		.created_ns = created(m->created_at),
	};

	raw.addrs = addresses(m->network, arena, &raw.n_addrs);
	return bh_sandbox_make(&raw, arena, ret, err);
}

int bh_cri_decode_status(const uint8_t *data, size_t len, struct bh_arena *arena,
			 struct bh_sandbox *ret, struct bh_err *err)
{
	BUDGET(mem);
	Bh__Cri__PodSandboxStatusResponse *m;
	int r;

	m = bh__cri__pod_sandbox_status_response__unpack(&mem, len, data);
	if (!m)
		return bad(&mem_budget, "the status of a sandbox", err);
	r = m->status ? make_status(m->status, find_netns(m, arena), arena, ret, err)
		      : bh_err(err, -EBADMSG, "the status of a sandbox is empty");
	bh__cri__pod_sandbox_status_response__free_unpacked(m, &mem);
	return r;
}

int bh_cri_decode_containers(const uint8_t *data, size_t len, struct bh_arena *arena,
			     struct bh_cri_container **ret, size_t *ret_n, struct bh_err *err)
{
	BUDGET(mem);
	Bh__Cri__ListContainersResponse *m;
	struct bh_cri_container *list;
	size_t i, n = 0;

	m = bh__cri__list_containers_response__unpack(&mem, len, data);
	if (!m)
		return bad(&mem_budget, "the list of containers", err);
	list = bh_arena_array(arena, m->n_containers, sizeof(*list));
	for (i = 0; i < m->n_containers; i++) {
		const Bh__Cri__Container *c = m->containers[i];
		const struct bh_labels annotations = {
			.items = pairs(c->annotations, c->n_annotations, arena),
			.n = c->n_annotations,
		};
		const char *json = bh_labels_get(&annotations, BH_CRI_KUBELET_PORTS);

		if (!json || !bh_cri_is_id(c->pod_sandbox_id, BH_CRI_MAX_ID) ||
		    bh_cri_parse_ports(json, arena, &list[n].ports, &list[n].n_ports, NULL) < 0 ||
		    list[n].n_ports == 0)
			continue;
		list[n++].sandbox_id = bh_arena_strdup(arena, c->pod_sandbox_id);
	}
	bh__cri__list_containers_response__free_unpacked(m, &mem);
	*ret = list;
	*ret_n = n;
	return 0;
}

/* --- containerd ----------------------------------------------------------------- */

#define SYNC_TYPE "bulkhead.dev/sync"

static const struct {
	const char *topic;
	enum bh_event_kind kind;
} topics[] = {
	{ "/containers/create", BH_EVENT_CHANGED }, { "/containers/update", BH_EVENT_CHANGED },
	{ "/containers/delete", BH_EVENT_DELETED }, { "/tasks/exit", BH_EVENT_EXITED },
	{ "/tasks/delete", BH_EVENT_EXITED },       { BH_CONTAINERD_SYNC_TOPIC, BH_EVENT_SYNC },
};

void bh_containerd_encode_subscribe(struct bh_buf *out)
{
	Bh__Containerd__SubscribeRequest m;
	char text[BH_ARRAY_LEN(topics)][96];
	char *filters[BH_ARRAY_LEN(topics)];
	size_t i;

	bh__containerd__subscribe_request__init(&m);
	for (i = 0; i < BH_ARRAY_LEN(topics); i++) {
		snprintf(text[i], sizeof(text[i]), "namespace==\"%s\",topic==\"%s\"",
			 BH_CONTAINERD_NAMESPACE, topics[i].topic);
		filters[i] = text[i];
	}
	m.filters = filters;
	m.n_filters = BH_ARRAY_LEN(topics);
	pack(&m.base, out);
}

void bh_containerd_encode_sync(uint64_t nonce, struct bh_buf *out)
{
	Bh__Containerd__PublishRequest m;
	Bh__Containerd__Any event;

	bh__containerd__publish_request__init(&m);
	bh__containerd__any__init(&event);
	event.type_url = unconst(SYNC_TYPE);
	event.value.data = (uint8_t *)&nonce;
	event.value.len = sizeof(nonce);
	m.topic = unconst(BH_CONTAINERD_SYNC_TOPIC);
	m.event = &event;
	pack(&m.base, out);
}

void bh_containerd_encode_get(const char *id, struct bh_buf *out)
{
	Bh__Containerd__GetContainerRequest m;

	bh__containerd__get_container_request__init(&m);
	m.id = unconst(id);
	pack(&m.base, out);
}

void bh_containerd_encode_list(struct bh_buf *out)
{
	Bh__Containerd__ListContainersRequest m;
	char *filter = unconst("labels.\"io.cri-containerd.kind\"==\"sandbox\"");

	bh__containerd__list_containers_request__init(&m);
	m.filters = &filter;
	m.n_filters = 1;
	pack(&m.base, out);
}

/* An id that does not fit is nobody's. */
static void set_id(struct bh_event *ev, const char *id)
{
	if (bh_cri_is_id(id, BH_CRI_MAX_ID))
		snprintf(ev->id, sizeof(ev->id), "%s", id);
	else
		ev->kind = BH_EVENT_OTHER;
}

static int read_container_event(const ProtobufCBinaryData *value, ProtobufCAllocator *mem,
				struct bh_event *ev)
{
	Bh__Containerd__ContainerEvent *m =
		bh__containerd__container_event__unpack(mem, value->len, value->data);

	if (!m)
		return -EBADMSG;
	set_id(ev, m->id);
	bh__containerd__container_event__free_unpacked(m, mem);
	return 0;
}

/* The end of an exec in a container is not the end of the container. */
static int read_exit(const ProtobufCBinaryData *value, ProtobufCAllocator *mem, struct bh_event *ev)
{
	Bh__Containerd__TaskExit *m =
		bh__containerd__task_exit__unpack(mem, value->len, value->data);

	if (!m)
		return -EBADMSG;
	if (strcmp(m->container_id, m->id) == 0)
		set_id(ev, m->container_id);
	else
		ev->kind = BH_EVENT_OTHER;
	bh__containerd__task_exit__free_unpacked(m, mem);
	return 0;
}

static int read_task_delete(const ProtobufCBinaryData *value, ProtobufCAllocator *mem,
			    struct bh_event *ev)
{
	Bh__Containerd__TaskDelete *m =
		bh__containerd__task_delete__unpack(mem, value->len, value->data);

	if (!m)
		return -EBADMSG;
	if (m->id[0] == '\0' || strcmp(m->container_id, m->id) == 0)
		set_id(ev, m->container_id);
	else
		ev->kind = BH_EVENT_OTHER;
	bh__containerd__task_delete__free_unpacked(m, mem);
	return 0;
}

static int read_event(const Bh__Containerd__Envelope *m, ProtobufCAllocator *mem,
		      struct bh_event *ev)
{
	size_t i;

	if (strcmp(m->namespace_, BH_CONTAINERD_NAMESPACE) != 0 || !m->event)
		return 0;
	for (i = 0; i < BH_ARRAY_LEN(topics); i++) {
		if (strcmp(m->topic, topics[i].topic) == 0)
			ev->kind = topics[i].kind;
	}
	switch (ev->kind) {
	case BH_EVENT_OTHER: return 0;
	case BH_EVENT_SYNC:
		if (m->event->value.len == sizeof(ev->nonce))
			memcpy(&ev->nonce, m->event->value.data, sizeof(ev->nonce));
		return 0;
	case BH_EVENT_CHANGED:
	case BH_EVENT_DELETED: return read_container_event(&m->event->value, mem, ev);
	case BH_EVENT_EXITED:
		return strcmp(m->topic, "/tasks/exit") == 0
			       ? read_exit(&m->event->value, mem, ev)
			       : read_task_delete(&m->event->value, mem, ev);
	}
	abort();
}

int bh_containerd_decode_event(const uint8_t *data, size_t len, struct bh_event *ret,
			       struct bh_err *err)
{
	BUDGET(mem);
	struct bh_event ev = { .kind = BH_EVENT_OTHER };
	Bh__Containerd__Envelope *m;
	int r;

	m = bh__containerd__envelope__unpack(&mem, len, data);
	if (!m)
		return bad(&mem_budget, "an event", err);
	r = read_event(m, &mem, &ev);
	if (r < 0)
		bad(&mem_budget, "the content of an event", err);
	bh__containerd__envelope__free_unpacked(m, &mem);
	if (r == 0)
		*ret = ev;
	return r;
}

static const ProtobufCBinaryData *extension(const Bh__Containerd__Container *c, const char *key)
{
	size_t i;

	for (i = 0; i < c->n_extensions; i++) {
		if (strcmp(c->extensions[i]->key, key) == 0 && c->extensions[i]->value)
			return &c->extensions[i]->value->value;
	}
	return NULL;
}

static uint64_t stamp_ns(const Bh__Containerd__Timestamp *t)
{
	/* Up to the year 2262, where nanoseconds end in 63 bits. */
	if (!t || t->seconds <= 0 || t->seconds > INT64_MAX / (int64_t)BH_NS_PER_S - 1 ||
	    t->nanos < 0 || t->nanos >= (int32_t)BH_NS_PER_S)
		return 0;
	return (uint64_t)t->seconds * BH_NS_PER_S + (uint64_t)t->nanos;
}

static int read_object(const Bh__Containerd__Container *c, struct bh_arena *arena,
		       struct bh_containerd_object *ret, struct bh_err *err)
{
	const ProtobufCBinaryData *json;
	int r;

	json = extension(c, "io.cri-containerd.sandbox.metadata");
	if (json) {
		r = bh_containerd_parse_sandbox((const char *)json->data, json->len,
						stamp_ns(c->created_at), arena, &ret->sandbox, err);
		ret->kind = r > 0 ? BH_OBJECT_SANDBOX : BH_OBJECT_OTHER;
		return r < 0 ? r : 0;
	}
	json = extension(c, "io.cri-containerd.container.metadata");
	if (json) {
		r = bh_containerd_parse_container((const char *)json->data, json->len, arena,
						  &ret->container, err);
		ret->kind = r > 0 ? BH_OBJECT_CONTAINER : BH_OBJECT_OTHER;
		return r < 0 ? r : 0;
	}
	return 0;
}

int bh_containerd_decode_object(const uint8_t *data, size_t len, struct bh_arena *arena,
				struct bh_containerd_object *ret, struct bh_err *err)
{
	BUDGET(mem);
	struct bh_containerd_object object = { .kind = BH_OBJECT_OTHER };
	Bh__Containerd__GetContainerResponse *m;
	int r = 0;

	m = bh__containerd__get_container_response__unpack(&mem, len, data);
	if (!m)
		return bad(&mem_budget, "a container", err);
	if (m->container)
		r = read_object(m->container, arena, &object, err);
	bh__containerd__get_container_response__free_unpacked(m, &mem);
	if (r == 0)
		*ret = object;
	return r;
}
