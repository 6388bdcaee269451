/*
 * The simulator: manifests in, answers out.  No root, no network, no cluster;
 * the engine is the one that enforces.
 *
 * Order of calls: bh_sim_new(), bh_sim_add() for every decoded object,
 * bh_sim_finish(), then any of the questions below, bh_sim_free().
 *
 * Ownership: the simulator owns copies of what it was told and everything that
 * is reached through it; results own themselves and borrow the simulator.
 */
#ifndef BH_SIM_H
#define BH_SIM_H

#include <jansson.h>

#include "bh/buf.h"
#include "bh/conns.h"
#include "bh/eval.h"
#include "bh/object.h"
#include "bh/world.h"

/* --- input (src/sim/input.c) --------------------------------------------------------- */

struct bh_sim;

struct bh_sim_config {
	struct bh_world_config world; /* default deny, mode; node stays NULL */
	/*
	 * As netpol-analyzer sees it: host-network pods are ordinary pods,
	 * finished pods count, and an ipBlock never matches a pod.
	 */
	bool is_compat;
};

/* Copies @config. */
struct bh_sim *bh_sim_new(const struct bh_sim_config *config);
void bh_sim_free(struct bh_sim **sim);
/*
 * Adds a decoded object of any status; skipped kinds are counted, warnings kept.
 * Of two objects of one kind and name the later wins, as with `kubectl apply`,
 * and bh_sim_duplicates() lists both.  -E2BIG beyond the world's limits.
 */
int bh_sim_add(struct bh_sim *sim, const struct bh_decoded *d, struct bh_err *err);
/*
 * Makes what manifests leave out: pods of workloads that no Pod object belongs
 * to (named as the workload, and "-1" behind it for a second one where there
 * are several replicas), nodes that pods name, and addresses of both families
 * for pods and nodes without one.  Those are stable for a name and lie in no
 * block that a policy could mean, see addresses.c.  In compat mode pods of the
 * world have no addresses at all: name them in flows.  The world is settled.
 */
void bh_sim_finish(struct bh_sim *sim);

struct bh_world *bh_sim_world(const struct bh_sim *sim);
bool bh_sim_is_compat(const struct bh_sim *sim);

/*
 * Pods that are one in the answers: of one workload, or a pod of its own.
 * Finished pods are left out; a finished Job is no workload.
 */
struct bh_sim_workload {
	const char *kind; /* "Deployment", "Pod", ... */
	const char *namespace, *name;
	const struct bh_pod *const *pods; /* of the world; at least one */
	size_t n_pods;
	const char *file; /* NULL if none */
	int line;
};
/* Sorted by namespace, name and kind. */
size_t bh_sim_workloads(const struct bh_sim *sim, const struct bh_sim_workload **ret);
/* NULL for a finished pod. */
const struct bh_sim_workload *bh_sim_workload_of(const struct bh_sim *sim,
						 const struct bh_pod *pod);
/* "shop/web[Deployment]" */
void bh_sim_workload_label(const struct bh_sim_workload *w, struct bh_buf *out);

size_t bh_sim_services(const struct bh_sim *sim, const struct bh_service *const **ret);
/* True where the address was made up by bh_sim_finish(). */
bool bh_sim_is_made_up(const struct bh_sim *sim, const struct bh_addr *a);

/* What the decoder said of objects, in the order told. */
struct bh_sim_remark {
	const char *file; /* NULL if none */
	int line;
	const char *subject; /* "NetworkPolicy shop/web" */
	const char *text;    /* "spec.ingress: ..." */
	bool is_error;       /* the policy failed validation; else a warning */
};
size_t bh_sim_remarks(const struct bh_sim *sim, const struct bh_sim_remark **ret);
/* Objects that a later one replaced. */
struct bh_sim_duplicate {
	const char *subject;
	const char *file, *other_file; /* of the earlier, of the later */
	int line, other_line;
};
size_t bh_sim_duplicates(const struct bh_sim *sim, const struct bh_sim_duplicate **ret);
/* Kinds that were skipped, with their number, sorted by kind. */
struct bh_sim_skipped {
	const char *kind;
	size_t n;
};
size_t bh_sim_skipped(const struct bh_sim *sim, const struct bh_sim_skipped **ret);
/* False for namespaces that no Namespace object described: they were made up. */
bool bh_sim_has_namespace(const struct bh_sim *sim, const char *name);

/* --- one flow (src/sim/query.c) -------------------------------------------------------- */

/*
 * Ends as people write them: "namespace/pod", "namespace/workload" (its first
 * pod; "namespace/workload[Kind]" where several kinds have the name),
 * "namespace/service" (a destination: its pods, and the port becomes the target
 * port), "svc:namespace/service" where a pod or workload has the same name, an
 * address, "node:NAME".  The address of a Service is the Service.
 */
struct bh_sim_query {
	const char *src, *dst;
	uint8_t protocol; /* of ICMP and ICMPv6 the one of the family is asked */
	uint16_t port;    /* host byte order */
	bool has_family;  /* else that of the ends; IPv4 where both have both */
	enum bh_family family;
	/*
	 * Only of bh_sim_ask(), what a node's agent does beside policy: the source address
	 * that a pod's packet bears, the group of which a pod gets a copy (NULL: their own
	 * addresses), and the ranges that are closed until a pod is known.
	 */
	const char *from, *to;
	const struct bh_cidr *closed;
	size_t n_closed;
};

enum bh_sim_verdict { BH_SIM_ALLOWED, BH_SIM_DENIED, BH_SIM_UNDECIDABLE, BH_SIM_VERDICT_COUNT_ };
const char *bh_sim_verdict_str(enum bh_sim_verdict v); /* "allowed", "denied", "undecidable" */

/* A Service has several pods: one answer each. */
struct bh_sim_answer {
	struct bh_flow flow;
	struct bh_result result;
	const struct bh_service *service; /* NULL if none */
	enum bh_sim_verdict verdict;
};
struct bh_sim_answers {
	struct bh_sim_answer *items; /* freed by bh_sim_answers_done() */
	size_t n;                    /* at least one */
	/*
	 * Allowed if all are, denied if all are; undecidable where they differ,
	 * and where the API leaves it open: policies of equal priority that say
	 * different things, and a pod that reaches itself through its Service
	 * where policy would deny it; and where the input does: from a node
	 * to a pod that may be its own.
	 */
	enum bh_sim_verdict verdict;
	char why[BH_ERR_MAX]; /* of undecidable */
};
/*
 * -ENOENT and -EINVAL with text that names the end and what is known that
 * resembles it, the port that the Service does not have, and so on.
 */
int bh_sim_ask(const struct bh_sim *sim, const struct bh_sim_query *q, struct bh_sim_answers *ret,
	       struct bh_err *err);
void bh_sim_answers_done(struct bh_sim_answers *a);
/*
 * Adds the answer's members as documented for `sim eval -o json`, as text
 * without braces: `"verdict": "denied", "egress": {...}, "ingress": {...}`.
 */
void bh_sim_answers_write(const struct bh_sim *sim, const struct bh_sim_answers *a,
			  struct bh_buf *out);

/* Adds sentences for people as bh_result_describe() does, without made-up addresses. */
void bh_sim_answer_describe(const struct bh_sim *sim, const struct bh_sim_answer *a,
			    struct bh_buf *out);

/* The same as bh_result_explain() does; JSON: {"egress": [...], "ingress": [...]}. */
void bh_sim_answer_explain(const struct bh_sim *sim, const struct bh_sim_answer *a,
			   struct bh_buf *out);
json_t *bh_sim_answer_explain_json(const struct bh_sim *sim, const struct bh_sim_answer *a);

/*
 * Everything between two ends that are no Services: which ports and protocols,
 * and what decides about them in each direction.
 */
struct bh_sim_span {
	const struct bh_conns *conns;
	struct bh_flow flow;     /* one of them */
	struct bh_result result; /* its direction is the same for all of @conns */
};
struct bh_sim_spans {
	struct bh_conn_table *table;
	const struct bh_conns *allowed, *audited, *undecidable; /* by both ends */
	struct bh_sim_span *items[BH_DIR_COUNT_];
	size_t n[BH_DIR_COUNT_]; /* at least one */
	char why[BH_ERR_MAX];    /* of undecidable */
};
/* Protocol and port of @q are not looked at.  Errors are those of bh_sim_ask(). */
int bh_sim_ask_all(const struct bh_sim *sim, const struct bh_sim_query *q, struct bh_sim_spans *ret,
		   struct bh_err *err);
void bh_sim_spans_done(struct bh_sim_spans *s);
/* "allowed by NetworkPolicy shop/db ingress rule 0 (db.yaml:12)" */
void bh_sim_span_describe(const struct bh_sim *sim, const struct bh_sim_span *s, enum bh_dir dir,
			  struct bh_buf *out);

/*
 * One line of a batch: a question as a JSON object.  Adds the line with the
 * answer's members behind it, or with "error", and a newline to @out.
 * Returns 0, or a negative errno where the line is no question or has no answer.
 */
int bh_sim_batch_line(const struct bh_sim *sim, const char *line, size_t len, struct bh_buf *out);
/* A longer line is an error. */
#define BH_SIM_MAX_LINE 65536

/* --- all connections (src/sim/graph.c) ------------------------------------------------- */

enum bh_graph_peer_kind { BH_GRAPH_WORKLOAD, BH_GRAPH_EXTERNAL, BH_GRAPH_NODE };

/*
 * An end of connections.  A workload is one peer, unless policies tell its pods
 * apart: then each part is one.  Nodes that policies do not tell apart are one.
 * External peers are the addresses of a range that are no pod's and no node's;
 * ranges are as large as policies treat alike, and are other ones for sources
 * than for destinations.
 */
struct bh_graph_peer {
	enum bh_graph_peer_kind kind;
	const struct bh_sim_workload *workload; /* BH_GRAPH_WORKLOAD */
	const struct bh_pod *const *pods;       /* the workload's, or the part of them */
	size_t n_pods;
	bool is_part;
	struct bh_range range;              /* BH_GRAPH_EXTERNAL */
	bool is_src, is_dst;                /* whether edges begin or end here */
	const struct bh_node *const *nodes; /* BH_GRAPH_NODE */
	size_t n_nodes;
	/*
	 * "shop/web[Deployment]", "shop/db[StatefulSet]{db-0,db-1}" for a part,
	 * "10.0.0.0-10.0.0.255[External]", "n1,n2[Node]".
	 */
	const char *label;
};

/* A node may always open connections to pods of its own. */
enum bh_graph_own_node {
	BH_GRAPH_OTHER_NODES, /* there is no such pair of source and destination */
	BH_GRAPH_SOME_OWN,    /* some pairs; the edge tells of the others */
	BH_GRAPH_ALL_OWN,
};

/*
 * What peers[src] may open to peers[dst].  Where both ends have addresses of
 * both families, a connection counts as allowed if it is in one of them.
 */
struct bh_graph_edge {
	uint32_t src, dst;
	const struct bh_conns *allowed;          /* by both ends */
	const struct bh_conns *egress, *ingress; /* by the one and by the other */
	const struct bh_conns *audited;          /* of allowed: denied if audit were enforced */
	/* Of allowed: what is denied in the other family. */
	const struct bh_conns *only[BH_FAMILY_COUNT_];
	enum bh_graph_own_node own_node;
};

struct bh_graph;

/* Borrows @sim. */
struct bh_graph *bh_graph_new(const struct bh_sim *sim);
/* The same with each pod for itself; finished ones are left out. */
struct bh_graph *bh_graph_of_pods(const struct bh_sim *sim);
/* Of a world whose pods each stand for themselves; borrows @world. */
struct bh_graph *bh_graph_of_world(const struct bh_world *world);
void bh_graph_free(struct bh_graph **g);
/* Sorted by label. */
size_t bh_graph_peers(const struct bh_graph *g, const struct bh_graph_peer **ret);
/*
 * Edges that allow something, sorted by the labels of source and destination.
 * Left out are pairs without a pod that policy is about, and a single pod to
 * itself.
 */
size_t bh_graph_edges(const struct bh_graph *g, const struct bh_graph_edge **ret);
/* The edge of any two peers, also where nothing is allowed. */
void bh_graph_pair(struct bh_graph *g, uint32_t src, uint32_t dst, struct bh_graph_edge *ret);
struct bh_conn_table *bh_graph_table(const struct bh_graph *g);

/* Which rules make an edge what it is, per direction; in evaluation order. */
struct bh_graph_reason {
	struct bh_rule_ref rule; /* policy NULL where no rule decides */
	enum bh_reason reason;
	bool is_allowed;
	const struct bh_conns *conns; /* that it decides */
};
/* *ret is malloc'ed. */
size_t bh_graph_why(struct bh_graph *g, const struct bh_graph_edge *e, enum bh_dir dir,
		    struct bh_graph_reason **ret);

enum bh_sim_format {
	BH_SIM_TXT,
	BH_SIM_JSON,
	BH_SIM_CSV,
	BH_SIM_MD,
	BH_SIM_DOT,
	BH_SIM_FORMAT_COUNT_
};
/* Of "txt", "json", ...; BH_SIM_TXT of NULL and of any other word. */
enum bh_sim_format bh_sim_format_of(const char *name);

struct bh_graph_listing {
	const struct bh_graph *graph;
	const struct bh_graph_edge *edges; /* in their order */
	size_t n;
	const struct bh_conns *about; /* the edges are about these only; NULL: all */
	bool is_compat;               /* to the letter as netpol-analyzer writes it */
};
void bh_graph_list(const struct bh_graph_listing *list, enum bh_sim_format format,
		   struct bh_buf *out);

/* --- matrix (src/sim/matrix.c) -------------------------------------------------------- */

struct bh_matrix {
	struct bh_graph *graph;
	const uint32_t *rows, *columns; /* peers: sources, destinations */
	size_t n_rows, n_columns;
	const struct bh_conns *const *ports; /* in the graph's table; tables for each */
	size_t n_ports;
};
/* @format: txt, md (tables), csv, json (a row for each pair and port). */
void bh_matrix_write(const struct bh_matrix *m, enum bh_sim_format format, struct bh_buf *out);

/* --- two worlds (src/sim/diff.c) --------------------------------------------------------- */

enum bh_change_kind {
	BH_CHANGE_ADDED,   /* nothing before, something now */
	BH_CHANGE_REMOVED, /* the other way round */
	BH_CHANGE_CHANGED, /* something else than before */
	BH_CHANGE_AUDITED, /* the same, but audited policies would deny something else of it */
	BH_CHANGE_COUNT_
};
const char *bh_change_str(enum bh_change_kind kind); /* "added", ... */

struct bh_graph_change {
	enum bh_change_kind kind;
	const char *src, *dst; /* labels */
	/* All in the table of the newer graph. */
	const struct bh_conns *before, *after;
	const struct bh_conns *audited_before, *audited_after;
	const struct bh_conns *only_before[BH_FAMILY_COUNT_], *only_after[BH_FAMILY_COUNT_];
	/* An end that is in one of the worlds only: "new" or "gone" workload. */
	bool is_src_new, is_src_gone, is_dst_new, is_dst_gone;
	/* "NetworkPolicy shop/web: ingress rule 1 was removed (web.yaml:12)" */
	const char *const *because;
	size_t n_because;
};

/*
 * Both graphs, with the same families of external addresses, so that they can
 * be compared.
 */
void bh_graph_new_two(const struct bh_sim *before, const struct bh_sim *after,
		      struct bh_graph **ret_before, struct bh_graph **ret_after);

struct bh_graph_diff;
/* Borrows both. */
struct bh_graph_diff *bh_graph_diff_new(struct bh_graph *before, struct bh_graph *after);
void bh_graph_diff_free(struct bh_graph_diff **d);
/* Sorted by the labels of source and destination. */
size_t bh_graph_diff_changes(const struct bh_graph_diff *d, const struct bh_graph_change **ret);
/* Workloads of one world only, as labels. */
size_t bh_graph_diff_workloads(const struct bh_graph_diff *d, bool is_new, const char *const **ret);

void bh_graph_diff_write(const struct bh_graph_diff *d, enum bh_sim_format format, bool is_compat,
			 struct bh_buf *out);

/* --- exposure (src/sim/exposure.c) --------------------------------------------------------- */

/* One workload in one direction; what audit would deny passes here. */
struct bh_exposure {
	const struct bh_sim_workload *workload;
	enum bh_dir dir;
	bool is_host_network; /* no policy is about it */
	bool is_protected;    /* some policy isolates it, or has rules for it */
	/* With public addresses that no policy names; of either family. */
	const struct bh_conns *internet;
	/* With any pod of any namespace, future ones too. */
	const struct bh_conns *cluster;
	/*
	 * More than that, with those whom rules select: pods that need not
	 * exist, and blocks of addresses.
	 */
	const struct bh_exposure_peer {
		const char *label; /* "pods with app=web in namespaces with tier=front" */
		const struct bh_conns *conns;
	} * peers;
	size_t n_peers;
};
struct bh_exposures;
struct bh_exposures *bh_exposures_new(const struct bh_sim *sim);
void bh_exposures_free(struct bh_exposures **e);
/* Ingress and egress of every workload, in the order of workloads; they borrow the simulator. */
size_t bh_exposures_items(const struct bh_exposures *e, const struct bh_exposure **ret);
/* As text, JSON, CSV or Markdown. */
void bh_exposures_write(const struct bh_exposure *items, size_t n, enum bh_sim_format format,
			struct bh_buf *out);

/* --- lint (src/sim/lint.c) ------------------------------------------------------------------ */

enum bh_severity { BH_SEVERITY_INFO, BH_SEVERITY_WARNING, BH_SEVERITY_ERROR, BH_SEVERITY_COUNT_ };
const char *bh_severity_str(enum bh_severity s); /* "info", "warning", "error" */

struct bh_lint_check {
	const char *name;          /* "selects-no-pod": stable, listed in bulkhead-sim(1) */
	enum bh_severity severity; /* of most of its findings */
	const char *summary;       /* "the policy selects no pod" */
};
/* Every check there is, sorted by name. */
size_t bh_lint_checks(const struct bh_lint_check *const **ret);

struct bh_finding {
	const struct bh_lint_check *check;
	enum bh_severity severity;
	const char *file;    /* NULL if none */
	int line;            /* 0 if unknown */
	const char *subject; /* "NetworkPolicy shop/web" */
	const char *text;    /* what is wrong, without a full stop */
	const char *fix;     /* what to do; NULL if there is nothing to say */
};

struct bh_lint_config {
	const char *const *only; /* names of checks; none: all */
	size_t n_only;
	const char *const *ignored;
	size_t n_ignored;
};

struct bh_lint;
/* @config may be NULL; -EINVAL where it names a check that does not exist. */
int bh_lint_new(struct bh_lint **ret, const struct bh_sim *sim, const struct bh_lint_config *config,
		struct bh_err *err);
void bh_lint_free(struct bh_lint **l);
/* Sorted by file, line and check; they borrow the simulator. */
size_t bh_lint_findings(const struct bh_lint *l, const struct bh_finding **ret);
/* SARIF 2.1.0, which code-review tools read; a new reference. */
json_t *bh_lint_sarif(const struct bh_lint *l);

/* --- assertions (src/sim/assertions.c) ------------------------------------------- */

/* One flow that must be allowed or denied; a list in the file makes one of each combination. */
struct bh_assertion {
	const char *name; /* as in the file, shared by the combinations of one entry */
	const char *file;
	int line;
	const char *src, *dst; /* as of struct bh_sim_query */
	uint8_t protocol;      /* IPPROTO_* */
	uint16_t port;
	const char *port_text; /* "8080/TCP", "ICMP" */
	enum bh_sim_verdict expected;
	const char *because; /* "shop/web": the policy that must decide; NULL if any may */
};
/* Beyond them a file is refused. */
#define BH_ASSERTIONS_MAX 100000

struct bh_assertions;
/*
 * Documents of kind Assertions (see bulkhead-sim(1)); any other key or kind is
 * refused with file and line.
 */
int bh_assertions_parse(struct bh_assertions **ret, const char *file, const char *text, size_t len,
			struct bh_err *err);
void bh_assertions_free(struct bh_assertions **a);
/* In the order of the file. */
size_t bh_assertions_items(const struct bh_assertions *a, const struct bh_assertion **ret);
/*
 * Whether it holds.  Where it does not, adds what is so instead, a sentence a
 * line; that covers ends that do not exist.
 */
bool bh_assertion_holds(const struct bh_sim *sim, const struct bh_assertion *a, struct bh_buf *why);

/* --- HTML (src/sim/html.c) -------------------------------------------------------------------- */

struct bh_sim_page {
	const struct bh_sim *sim;
	struct bh_graph *graph;
	const struct bh_graph_edge *edges; /* of graph, those to show */
	size_t n_edges;
	const struct bh_exposures *exposures;
	const struct bh_lint *lint;
	const struct bh_graph_diff *diff; /* from another world to this one; NULL: none */
};
/* One self-contained page. */
void bh_sim_html(const struct bh_sim_page *page, struct bh_buf *out);

#endif
