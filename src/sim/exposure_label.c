#include "exposure_impl.h"

#include "bh/buf.h"
#include "bh/selector.h"

const char *exposure_pods_label(struct bh_arena *arena, const struct bh_policy *p,
				const struct bh_peer *peer)
{
	struct bh_buf text = { 0 };
	const char *label;

	if (peer->pods.n_reqs) {
		bh_buf_puts(&text, "pods with ");
		bh_selector_describe(&peer->pods, &text);
	} else {
		bh_buf_puts(&text, "all pods");
	}
	if (!peer->has_namespaces) {
		bh_buf_puts(&text, " in namespace ");
		bh_buf_escape(&text, p->namespace);
	} else if (peer->namespaces.n_reqs) {
		bh_buf_puts(&text, " in namespaces with ");
		bh_selector_describe(&peer->namespaces, &text);
	} else {
		bh_buf_puts(&text, " in all namespaces");
	}
	label = bh_arena_strdup(arena, bh_buf_str(&text));
	bh_buf_done(&text);
	return label;
}

const char *exposure_block_label(struct bh_arena *arena, const struct bh_peer *peer)
{
	struct bh_buf text = { 0 };
	char cidr[BH_CIDR_STRLEN];
	const char *label;
	size_t i;

	bh_buf_printf(&text, "addresses %s", bh_cidr_format(&peer->cidr, cidr));
	for (i = 0; i < peer->n_except; i++)
		bh_buf_printf(&text, "%s%s", i ? "," : " except ",
			      bh_cidr_format(&peer->except[i], cidr));
	label = bh_arena_strdup(arena, bh_buf_str(&text));
	bh_buf_done(&text);
	return label;
}
