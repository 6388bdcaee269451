/*
 * What the files of the simulator share.
 */
#ifndef BH_SIM_SIM_H
#define BH_SIM_SIM_H

#include "bh/alloc.h"
#include "bh/hash.h"
#include "bh/sim.h"

/* An object with a pod template, and the workload that its pods belong to. */
struct template
{
	struct bh_workload w;
	const char *group_kind, *group_name; /* its own, or its owner's */
};

struct service {
	struct bh_service pub;
	const struct bh_pod **pods; /* it leads to; NULL until somebody asks */
	size_t n_pods;
};

struct service_addr {
	struct bh_addr addr;
	const struct bh_service *service;
	UT_hash_handle hh;
};

/* An object that was added, by its subject ("Pod shop/web"). */
struct seen {
	const char *subject;
	const char *file;
	int line;
	const char *pod_uid; /* of a Pod; NULL of others */
	struct service *service;
	struct template *template;
	UT_hash_handle hh;
};

struct pod_ref {
	const struct bh_pod *pod;
	size_t workload;
};

/* An address that was made up. */
struct made_up {
	struct bh_addr addr;
	UT_hash_handle hh;
};

/* What asking leaves behind; not what was told, so it may change. */
struct memo {
	size_t n_hints;     /* given in errors */
	struct text *texts; /* of judgements, see answer.c */
	size_t n_texts;
};

struct bh_sim {
	struct bh_arena *arena; /* of everything below that is not malloc'ed by name */
	struct bh_world *world;
	bool is_compat;
	struct seen *seen;
	struct template **templates;
	size_t n_templates, cap_templates;
	struct bh_service **services;
	size_t n_services, cap_services;
	struct bh_sim_workload *workloads;
	size_t n_workloads;
	struct pod_ref *refs; /* sorted by pod */
	size_t n_refs;
	struct bh_sim_remark *remarks;
	size_t n_remarks, cap_remarks;
	struct bh_sim_duplicate *duplicates;
	size_t n_duplicates, cap_duplicates;
	struct bh_sim_skipped *skipped;
	size_t n_skipped, cap_skipped;
	struct made_up *made_up;
	struct service_addr *service_addrs;
	bool has_equal_priorities; /* of policies that are asked in order */
	struct memo *memo;
};

/* Copies into the simulator's arena. */
void sim_copy_workload(struct bh_sim *sim, const struct bh_workload *w, struct bh_workload *ret);
void sim_copy_service(struct bh_sim *sim, const struct bh_service *s, struct bh_service *ret);

void sim_forget_texts(struct memo *memo);

/* --- in the order in which bh_sim_finish() calls them --- */

/* Follows the owners of workloads among the objects that were added. */
void sim_find_owners(struct bh_sim *sim);
/* Pods of workloads that have none. */
void sim_make_pods(struct bh_sim *sim);
/* Nodes that pods name and nobody described. */
void sim_make_nodes(struct bh_sim *sim);
/* Addresses of pods and nodes that have none. */
void sim_make_addrs(struct bh_sim *sim);
/* Groups the pods. */
void sim_group_pods(struct bh_sim *sim);
/* Sets has_equal_priorities. */
void sim_compare_priorities(struct bh_sim *sim);

#endif
