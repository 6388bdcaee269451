/*
 * A pod sandbox as the runtime describes it, made harmless: identifiers checked,
 * sizes capped, addresses and ports parsed.
 */
#ifndef BH_CRI_SANDBOX_H
#define BH_CRI_SANDBOX_H

#include "bh/alloc.h"
#include "bh/model.h"

#define BH_CRI_MAX_SANDBOXES 10000
/* The API server allows 253, 63 and 63; other tools have no limits of their own. */
#define BH_CRI_MAX_NAME   253
#define BH_CRI_MAX_UID    128
#define BH_CRI_MAX_ID     128
#define BH_CRI_MAX_LABELS 1024
#define BH_CRI_MAX_KEY    317 /* 253 + '/' + 63 */
#define BH_CRI_MAX_VALUE  1024
#define BH_CRI_MAX_ADDRS  32
#define BH_CRI_MAX_PORTS  256
#define BH_CRI_MAX_JSON   (1u << 20)

/* Named ports of the pod, as a JSON list of container ports. */
#define BH_CRI_PORTS_ANNOTATION      "bulkhead.dev/ports"
#define BH_CRI_QUARANTINE_ANNOTATION "bulkhead.dev/quarantine"
/* What kubelet writes on each container, in the same form. */
#define BH_CRI_KUBELET_PORTS "io.kubernetes.container.ports"

/* What somebody said, as it came; everything is borrowed and may be missing. */
struct bh_sandbox_raw {
	const char *id, *namespace, *name, *uid;
	uint32_t attempt;
	const struct bh_label *labels, *annotations;
	size_t n_labels, n_annotations;
	const char *const *addrs; /* "" entries are skipped */
	size_t n_addrs;
	const char *netns; /* path of its network namespace */
	bool has_network;  /* addrs and is_host_network are known */
	bool is_host_network;
	bool has_state; /* is_finished is known */
	bool is_finished;
	uint64_t created_ns;
};

struct bh_sandbox {
	const char *id, *namespace, *name, *uid;
	uint32_t attempt;
	struct bh_labels labels; /* sorted by key, without those kubelet adds */
	bool has_bad_labels;     /* labels cannot be trusted: unknown */
	const struct bh_port *ports;
	size_t n_ports;
	const struct bh_addr *addrs;
	size_t n_addrs;
	const char *netns; /* NULL: unknown, or that of the node */
	bool has_network;
	bool is_host_network;
	bool has_state;
	bool is_finished;
	bool is_quarantined; /* annotation bulkhead.dev/quarantine */
	uint64_t created_ns;
	const char *problem; /* what had to be left out, for people; NULL if nothing */
};

/*
 * 1 and *ret, which lives in @arena; 0 for a sandbox that is no Kubernetes pod;
 * -EINVAL with text if its identity is malformed.
 */
int bh_sandbox_make(const struct bh_sandbox_raw *raw, struct bh_arena *arena,
		    struct bh_sandbox *ret, struct bh_err *err);
/* A copy with every string in @arena. */
void bh_sandbox_copy(const struct bh_sandbox *s, struct bh_arena *arena, struct bh_sandbox *ret);
bool bh_sandbox_eq(const struct bh_sandbox *a, const struct bh_sandbox *b);

/*
 * The named ports of a JSON list of container ports; nameless ones are left
 * out.  *ret lives in @arena.
 */
int bh_cri_parse_ports(const char *json, struct bh_arena *arena, const struct bh_port **ret,
		       size_t *ret_n, struct bh_err *err);
/*
 * @a and those of @b whose name and protocol @a lacks, in @arena; at most
 * BH_CRI_MAX_PORTS.
 */
void bh_cri_unite_ports(const struct bh_port *a, size_t n_a, const struct bh_port *b, size_t n_b,
			struct bh_arena *arena, const struct bh_port **ret, size_t *ret_n);

/* Letters, digits, '.', '_', '-'; 1 to @max of them. */
bool bh_cri_is_id(const char *s, size_t max);

#endif
