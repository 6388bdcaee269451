/*
 * What the files of lint share: the run, and a table of checks per theme.
 */
#ifndef BH_SIM_LINT_IMPL_H
#define BH_SIM_LINT_IMPL_H

#include "bh/alloc.h"
#include "bh/sim.h"

struct bh_lint {
	struct bh_arena *arena;
	struct bh_finding *findings;
	size_t n, cap;
};

/* One run. */
struct lint {
	struct bh_lint *out;
	const struct bh_sim *sim;
	const struct bh_world *w;
	const struct bh_lint_config *config;
	const struct bh_lint_check *check; /* that finds something now */
	bool has_pods;
	const struct bh_namespace *const *namespaces;
	size_t n_namespaces;
	const struct bh_pod *const *pods;
	size_t n_pods;
	const struct bh_policy *const *policies; /* without bulkhead's own baseline */
	size_t n_policies;
};

/* How a check is run: one of these. */
struct lint_row {
	struct bh_lint_check check;
	bool needs_pods; /* has nothing to say about policies alone */
	void (*on_policy)(struct lint *l, const struct bh_policy *p);
	/* Once for each rule, for checks that are about one at a time. */
	void (*on_rule)(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
			const struct bh_rule *r);
	void (*on_world)(struct lint *l);
};

/* Tables, each ends with a row without name. */
extern const struct lint_row lint_select_rows[];
extern const struct lint_row lint_peer_rows[];
extern const struct lint_row lint_port_rows[];
extern const struct lint_row lint_block_rows[];
extern const struct lint_row lint_type_rows[];
extern const struct lint_row lint_object_rows[];
extern const struct lint_row lint_dns_rows[];
extern const struct lint_row lint_proof_rows[];

/* Whether the user wants to hear of that check. */
bool lint_wants(const struct lint *l, const char *check);

/*
 * Adds a finding about @p at @line (0: that of the policy); @fix is borrowed and
 * lives as long as the run's arena, NULL if there is none.
 */
void lint_policy(struct lint *l, const struct bh_policy *p, int line, const char *fix,
		 const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The same about anything; @subject, @file and @fix are borrowed. */
void lint_add(struct lint *l, enum bh_severity severity, const char *file, int line,
	      const char *subject, const char *fix, const char *fmt, ...)
	__attribute__((format(printf, 7, 8)));

/* Texts of the run's arena. */
const char *lint_subject(struct lint *l, const struct bh_policy *p); /* "NetworkPolicy shop/web" */
const char *lint_selector(struct lint *l, const struct bh_selector *sel); /* "app=web" */
const char *lint_cidr(struct lint *l, const struct bh_cidr *cidr);
const char *lint_printf(struct lint *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "ingress rule 0", counted as everywhere in bulkhead; by its name where it has one. */
const char *lint_rule(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
		      const struct bh_rule *r);

/* Live pods that @p selects; the first of them in *ret. */
size_t lint_selected(const struct lint *l, const struct bh_policy *p, const struct bh_pod **ret);
/* Live pods that @peer is in a rule of @p. */
size_t lint_peers(const struct lint *l, const struct bh_policy *p, const struct bh_peer *peer,
		  const struct bh_pod **ret);
/* Nobody described that namespace and no pod lives there: most likely a slip of the pen. */
bool lint_is_unknown(const struct lint *l, const char *ns);
/* Namespaces of the input that @sel matches. */
size_t lint_namespaces(const struct lint *l, const struct bh_selector *sel);
/* "pod shop/web" for the end of a sentence. */
const char *lint_pod(struct lint *l, const struct bh_pod *pod);

#endif
