/*
 * Verdicts in words: the pieces that sentences are made of.
 */
#ifndef BH_OBJECT_DESCRIBE_H
#define BH_OBJECT_DESCRIBE_H

#include "bh/object.h"

/* What a description is about. */
struct tale {
	const struct bh_world *w;
	const struct bh_flow *flow;
	const struct bh_result *result;
	struct bh_buf *out;
};

/* "allowed: pod shop/web (10.0.0.1) to pod shop/db (10.0.0.2), TCP 80\n" */
void describe_head(const struct tale *t);
/* "pod shop/web (10.0.0.1)" */
void describe_end(struct bh_buf *b, const struct bh_end *end, const struct bh_addr *addr);
/* "TCP 80" */
void describe_port(struct bh_buf *b, const struct bh_flow *flow);
/* "NetworkPolicy shop/web" */
void describe_policy(struct bh_buf *b, const struct bh_policy *p);
/* " (file:line)" where it is known. */
void describe_place(struct bh_buf *b, const struct bh_policy *p, int line);
/* "NetworkPolicy shop/web ingress rule 1 (file:line)" */
void describe_rule(struct bh_buf *b, const struct bh_rule_ref *ref, enum bh_dir dir);
const struct bh_rule *describe_rule_of(const struct bh_rule_ref *ref, enum bh_dir dir);
/* "its podSelector wants app=web, the pod has app=db" */
void describe_miss(const struct tale *t, const struct bh_near_miss *near, enum bh_dir dir);
/* "allowed by NetworkPolicy shop/web ingress rule 1 (file:line)" */
void describe_reason(const struct tale *t, const struct bh_dir_verdict *v, enum bh_dir dir);
/* "  audit: would be denied by ...\n"; nothing where audit changes nothing. */
void describe_audit(const struct tale *t, const struct bh_dir_verdict *v, enum bh_dir dir);
/* The pod that judges in @dir. */
const struct bh_end *describe_own_end(const struct tale *t, enum bh_dir dir);
const struct bh_addr *describe_own_addr(const struct tale *t, enum bh_dir dir);

#endif
