#include "test.h"

#include "bh/buf.h"
#include "bh/plan.h"

static struct bh_elem elem(enum bh_set_kind kind, const char *addr, const struct bh_plan_chain *c)
{
	struct bh_elem e = { .chain = c };
	struct bh_addr a;

	assert_ok(bh_addr_parse(addr, &a, NULL), NULL);
	bh_plan_key(kind, &a, 6, 80, e.key);
	return e;
}

static struct bh_plan_set *add_set(struct bh_plan *plan, const char *name, enum bh_set_kind kind)
{
	return bh_plan_add_set(plan, &(struct bh_set_spec){ .name = name, .kind = kind });
}

static void put(struct bh_plan *plan, struct bh_plan_set *set, const char *addr,
		const struct bh_plan_chain *c)
{
	struct bh_elem e = elem(set->spec.kind, addr, c);

	bh_plan_put(plan, set, &e);
}

static void drop(struct bh_plan *plan, struct bh_plan_set *set, const char *addr)
{
	struct bh_elem e = elem(set->spec.kind, addr, NULL);

	bh_plan_drop(plan, set, &e);
}

static void add_verdict(struct bh_plan *plan, struct bh_plan_chain *c, enum bh_plan_verdict v,
			const struct bh_plan_chain *to)
{
	struct bh_plan_rule rule = { .n_exprs = 1 };

	rule.exprs[0] = (struct bh_expr){ .kind = BH_EXPR_VERDICT, .verdict = v, .chain = to };
	bh_plan_add_rule(plan, c, &rule);
}

static const char *const op_names[] = {
	[BH_OP_ADD_TABLE] = "+table",    [BH_OP_ADD_COUNTER] = "+counter",
	[BH_OP_ADD_SET] = "+set",        [BH_OP_ADD_CHAIN] = "+chain",
	[BH_OP_ADD_ELEMS] = "+elems",    [BH_OP_FLUSH_CHAIN] = "flush",
	[BH_OP_ADD_RULES] = "+rules",    [BH_OP_DEL_ELEMS] = "-elems",
	[BH_OP_FLUSH_SET] = "flush-set", [BH_OP_DEL_CHAIN] = "-chain",
	[BH_OP_DEL_SET] = "-set",        [BH_OP_DEL_COUNTER] = "-counter",
	[BH_OP_DEL_TABLE] = "-table",
};

/* The delta in one line: "+set p; | -elems p 2", where | is a cut. */
static void assert_delta(const struct bh_plan *plan, const char *want)
{
	bh_auto(bh_delta_free) struct bh_delta *d = bh_plan_delta(plan);
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };
	size_t i;

	for (i = 0; d && i < d->n_ops; i++) {
		const struct bh_op *op = &d->ops[i];

		bh_buf_printf(&b, "%s%s%s%s", i ? "; " : "", op->is_cut ? "| " : "",
			      op_names[op->kind], op->name ? " " : "");
		bh_buf_puts(&b, op->name ? op->name : "");
		if (op->n_elems)
			bh_buf_printf(&b, " %zu", op->n_elems);
	}
	assert_string_equal(bh_buf_str(&b), want);
}

static void keys_are_laid_out_as_in_netlink(void **state)
{
	static const uint8_t want[] = { 10, 0, 0, 1, 6, 0, 0, 0, 0x1f, 0x90, 0, 0 };
	uint8_t key[BH_KEY_MAX];
	struct bh_addr a;

	(void)state;
	assert_ok(bh_addr_parse("10.0.0.1", &a, NULL), NULL);
	bh_plan_key(BH_SET_ADDR_PROTO_PORT, &a, 6, 8080, key);
	assert_memory_equal(key, want, sizeof(want));
	bh_plan_key(BH_SET_PROTO_PORT, NULL, 6, 8080, key);
	assert_memory_equal(key, want + 4, 8);
	bh_plan_key(BH_SET_VERDICT_MAP, &a, 6, 8080, key);
	assert_memory_equal(key, want, 4);
	assert_int_equal(key[4], 0);
}

static void every_field_has_its_place_in_a_key(void **state)
{
	static const uint8_t flow[] = { 10, 0, 0, 1, 10, 0, 0, 2, 17, 0,
					0,  0, 0, 5, 0,  0, 0, 9, 0,  0 };
	static const uint8_t mac[] = { 2, 0, 0, 0, 0, 10 };
	static const uint8_t own[] = { 2, 0, 0, 0, 0, 10, 0, 0 };
	struct bh_key_values v = {
		.protocol = 17, .port = 5, .port2 = 9, .link = 77, .mac = mac, .ether_type = 0x0806
	};
	struct bh_addr a, b, target;
	uint8_t key[BH_KEY_MAX];
	uint32_t link;

	(void)state;
	assert_ok(bh_addr_parse("10.0.0.1", &a, NULL), NULL);
	assert_ok(bh_addr_parse("10.0.0.2", &b, NULL), NULL);
	assert_ok(bh_addr_parse("fe80::1", &target, NULL), NULL);
	v.addr = &a;
	v.addr2 = &b;
	v.target = &target;
	bh_plan_pack(BH_SET_CUT, &v, key);
	assert_memory_equal(key, flow, sizeof(flow));
	bh_plan_pack(BH_SET_LINK_MAC, &v, key);
	memcpy(&link, key, sizeof(link));
	assert_int_equal(link, 77);
	assert_memory_equal(key + 4, own, sizeof(own));
	bh_plan_pack(BH_SET_LINK_TARGET, &v, key);
	assert_memory_equal(key + 4, target.bytes, sizeof(target.bytes));
	assert_int_equal(key[20], 0);
}

static void the_longest_key_is_known(void **state)
{
	size_t longest = 0;

	(void)state;
	for (enum bh_set_kind k = 0; k < BH_SET_KIND_COUNT_; k++) {
		if (bh_set_key_len(k, BH_IPV6) > longest)
			longest = bh_set_key_len(k, BH_IPV6);
	}
	assert_int_equal(longest, BH_KEY_MAX);
}

static void ranges_have_the_form_that_nft_writes(void **state)
{
	static const struct {
		enum bh_load load;
		enum bh_match_op op;
		uint32_t value, last;
		enum bh_range_form form;
		uint32_t want_first, want_last;
	} t[] = {
		{ BH_LOAD_HOPLIMIT, BH_MATCH_RANGE, 255, 255, BH_RANGE_IS, 255, 255 },
		{ BH_LOAD_HOPLIMIT, BH_MATCH_RANGE, 0, 0, BH_RANGE_IS, 0, 0 },
		{ BH_LOAD_HOPLIMIT, BH_MATCH_NOT_RANGE, 1, 1, BH_RANGE_IS_NOT, 1, 1 },
		{ BH_LOAD_HOPLIMIT, BH_MATCH_RANGE, 5, 255, BH_RANGE_ABOVE, 4, 4 },
		{ BH_LOAD_HOPLIMIT, BH_MATCH_RANGE, 5, 9, BH_RANGE_WITHIN, 5, 9 },
		{ BH_LOAD_HOPLIMIT, BH_MATCH_NOT_RANGE, 5, 9, BH_RANGE_OUTSIDE, 5, 9 },
		{ BH_LOAD_HOPLIMIT, BH_MATCH_RANGE, 0, 9, BH_RANGE_UP_TO, 9, 9 },
		{ BH_LOAD_HOPLIMIT, BH_MATCH_NOT_RANGE, 0, 9, BH_RANGE_ABOVE, 9, 9 },
		{ BH_LOAD_DPORT, BH_MATCH_NOT_RANGE, 5, UINT32_MAX, BH_RANGE_UP_TO, 4, 4 },
		{ BH_LOAD_DPORT, BH_MATCH_RANGE, 5, 255, BH_RANGE_WITHIN, 5, 255 },
		{ BH_LOAD_LENGTH, BH_MATCH_RANGE, 5, UINT32_MAX, BH_RANGE_ABOVE, 4, 4 },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		const struct bh_expr e = { .kind = BH_EXPR_MATCH,
					   .load = t[i].load,
					   .op = t[i].op,
					   .value = t[i].value,
					   .last = t[i].last };
		uint32_t first, last;

		assert_int_equal(bh_plan_range_form(&e, &first, &last), t[i].form);
		assert_int_equal(first, t[i].want_first);
		assert_int_equal(last, t[i].want_last);
	}
}

#define MATCH(LOAD, VALUE)                                                                         \
	{                                                                                          \
		.kind = BH_EXPR_MATCH, .load = BH_LOAD_##LOAD, .value = (VALUE), .last = (VALUE)   \
	}

static void a_protocol_is_implied_by_what_comes_after(void **state)
{
	static const struct {
		struct bh_plan_rule rule;
		bool is_implied;
	} t[] = {
		{ { { MATCH(L4PROTO, 17), MATCH(DPORT, 53) }, 2 }, true },
		{ { { MATCH(L4PROTO, 17), MATCH(IIF, 3), MATCH(DPORT, 53) }, 3 }, true },
		{ { { MATCH(L4PROTO, 58), MATCH(ICMP6_TYPE, 1) }, 2 }, true },
		{ { { MATCH(L4PROTO, 6), MATCH(ICMP6_TYPE, 1) }, 2 }, false },
		{ { { MATCH(L4PROTO, 1), MATCH(DPORT, 53) }, 2 }, false },
		{ { { MATCH(NFPROTO, 10), MATCH(HOPLIMIT, 1) }, 2 }, true },
		{ { { MATCH(NFPROTO, 2), MATCH(HOPLIMIT, 1) }, 2 }, false },
		{ { { MATCH(DPORT, 53), MATCH(L4PROTO, 17) }, 2 }, false },
		/* A counter in between counts what matched before it. */
		{ { { MATCH(L4PROTO, 17),
		      { .kind = BH_EXPR_COUNTER, .name = "c" },
		      MATCH(DPORT, 53) },
		    3 },
		  false },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++)
		assert_int_equal(bh_plan_is_implied(&t[i].rule, 0), t[i].is_implied);
}

static void a_delta_is_of_one_table_and_knows_what_belongs_together(void **state)
{
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_NETDEV);
	struct bh_plan_set *used, *gone;
	struct bh_plan_chain *c;
	struct bh_delta *d;

	(void)state;
	used = add_set(plan, "used", BH_SET_ADDR);
	gone = add_set(plan, "gone", BH_SET_ADDR);
	c = bh_plan_add_ingress(plan, "p_1", "eth0", -500);
	assert_string_equal(c->device, "eth0");
	assert_int_equal(c->hook, BH_HOOK_INGRESS);
	bh_plan_settle(plan);

	(void)add_set(plan, "new", BH_SET_ADDR);
	put(plan, used, "10.0.0.1", NULL);
	bh_plan_remove_set(plan, gone);
	bh_plan_remove_chain(plan, c);
	d = bh_plan_delta(plan);
	assert_int_equal(d->table, BH_TABLE_NETDEV);
	assert_int_equal(d->whole, 1);
	assert_int_equal(d->rest, 2);
	assert_int_equal(d->n_ops, 4);
	bh_delta_free(&d);
	/* It comes back for the same link. */
	assert_ptr_equal(bh_plan_add_ingress(plan, "p_1", "eth0", -500), c);
}

static void a_first_delta_holds_everything_and_maps_come_in_one_piece(void **state)
{
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *in4, *p;
	struct bh_plan_chain *base, *c;

	(void)state;
	bh_plan_add_counter(plan, "denied");
	in4 = add_set(plan, "in4", BH_SET_VERDICT_MAP);
	p = add_set(plan, "p4_a", BH_SET_ADDR);
	base = bh_plan_add_chain(plan, "forward", NULL, BH_HOOK_FORWARD, 0);
	c = bh_plan_add_chain(plan, "in_a", NULL, BH_HOOK_NONE, 0);
	add_verdict(plan, base, BH_V_ACCEPT, NULL);
	add_verdict(plan, c, BH_V_DROP, NULL);
	put(plan, p, "10.0.0.1", NULL);
	put(plan, p, "10.0.0.2", NULL);
	put(plan, in4, "10.0.0.3", c);

	assert_delta(plan, "+table; | +counter denied; | +set in4; | +set p4_a; | +chain forward; "
			   "| +chain in_a; | +elems p4_a 2; | +rules forward; | +rules in_a; "
			   "| +elems in4 1");
	bh_plan_settle(plan);
	assert_false(bh_plan_is_dirty(plan));
	assert_null(bh_plan_delta(plan));
}

static void changes_of_used_sets_and_maps_are_never_cut(void **state)
{
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *in4 = add_set(plan, "in4", BH_SET_VERDICT_MAP);
	struct bh_plan_set *p = add_set(plan, "p", BH_SET_ADDR),
			   *q = add_set(plan, "q", BH_SET_ADDR);
	struct bh_plan_chain *a = bh_plan_add_chain(plan, "a", NULL, BH_HOOK_NONE, 0);
	struct bh_plan_chain *sub = bh_plan_add_chain(plan, "sub", NULL, BH_HOOK_NONE, 0), *b;

	(void)state;
	add_verdict(plan, a, BH_V_GOTO, sub);
	put(plan, in4, "10.0.0.1", a);
	put(plan, in4, "10.0.0.2", a);
	put(plan, p, "10.0.0.1", NULL);
	bh_plan_settle(plan);

	b = bh_plan_add_chain(plan, "b", NULL, BH_HOOK_NONE, 0);
	put(plan, in4, "10.0.0.1", b);
	drop(plan, in4, "10.0.0.2");
	drop(plan, p, "10.0.0.1");
	put(plan, p, "10.0.0.9", NULL);
	bh_plan_remove_chain(plan, a);
	bh_plan_remove_chain(plan, sub);
	bh_plan_remove_set(plan, q);
	assert_delta(plan, "+chain b; | -elems in4 2; +elems in4 1; -elems p 1; +elems p 1; "
			   "| flush a; | -chain a; | -chain sub; | -set q");
}

static void what_cancels_out_is_no_change(void **state)
{
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *p = add_set(plan, "p", BH_SET_ADDR);

	(void)state;
	put(plan, p, "10.0.0.1", NULL);
	bh_plan_settle(plan);

	put(plan, p, "10.0.0.1", NULL); /* is there */
	drop(plan, p, "10.0.0.7");      /* is not */
	assert_delta(plan, "");
	put(plan, p, "10.0.0.2", NULL);
	assert_int_equal(bh_plan_set(plan, "p")->n, 2); /* works in what is pending */
	drop(plan, p, "10.0.0.2");
	drop(plan, p, "10.0.0.1");
	assert_int_equal(bh_plan_set(plan, "p")->n, 0);
	put(plan, p, "10.0.0.1", NULL);
	assert_delta(plan, "");
}

static void a_delta_that_failed_is_still_there_with_what_came_later(void **state)
{
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *p = add_set(plan, "p", BH_SET_ADDR);

	(void)state;
	bh_plan_settle(plan);
	put(plan, p, "10.0.0.1", NULL);
	assert_delta(plan, "+elems p 1");
	put(plan, p, "10.0.0.2", NULL);
	assert_delta(plan, "+elems p 2");
}

static void what_is_removed_and_added_again_is_compared_with_the_kernel(void **state)
{
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *p = add_set(plan, "p", BH_SET_ADDR), *p2;
	struct bh_plan_chain *c = bh_plan_add_chain(plan, "c", NULL, BH_HOOK_NONE, 0);

	(void)state;
	add_verdict(plan, c, BH_V_DROP, NULL);
	put(plan, p, "10.0.0.1", NULL);
	put(plan, p, "10.0.0.2", NULL);
	bh_plan_settle(plan);

	bh_plan_remove_set(plan, p);
	bh_plan_remove_chain(plan, c);
	assert_null(bh_plan_set(plan, "p"));
	assert_null(bh_plan_chain(plan, "c"));
	p2 = add_set(plan, "p", BH_SET_ADDR);
	put(plan, p2, "10.0.0.2", NULL);
	put(plan, p2, "10.0.0.3", NULL);
	c = bh_plan_add_chain(plan, "c", NULL, BH_HOOK_NONE, 0);
	add_verdict(plan, c, BH_V_DROP, NULL);
	assert_delta(plan, "-elems p 1; +elems p 1"); /* the chain's rules are the same */

	bh_plan_remove_chain(plan, c);
	c = bh_plan_add_chain(plan, "c", NULL, BH_HOOK_NONE, 0);
	add_verdict(plan, c, BH_V_RETURN, NULL);
	assert_delta(plan, "flush c; +rules c; -elems p 1; +elems p 1");
}

static void what_never_reached_the_kernel_needs_no_removal(void **state)
{
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *p;
	struct bh_plan_chain *c;

	(void)state;
	bh_plan_settle(plan);
	p = add_set(plan, "p", BH_SET_ADDR);
	put(plan, p, "10.0.0.1", NULL);
	c = bh_plan_add_chain(plan, "c", NULL, BH_HOOK_NONE, 0);
	bh_plan_remove_set(plan, p);
	bh_plan_remove_chain(plan, c);
	assert_delta(plan, "");
}

static void large_new_sets_are_loaded_in_pieces(void **state)
{
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *p;
	uint32_t i;

	(void)state;
	bh_plan_settle(plan);
	p = add_set(plan, "p", BH_SET_ADDR);
	for (i = 10000; i-- > 0;) {
		struct bh_elem e = { .key = { 10, (uint8_t)(i >> 16), (uint8_t)(i >> 8),
					      (uint8_t)i } };

		bh_plan_put(plan, p, &e);
	}
	assert_delta(plan, "+set p; | +elems p 4096; | +elems p 4096; | +elems p 1808");
}

/* Against a plain table of 256 flags. */
static void any_sequence_of_puts_and_drops_ends_in_the_right_set(void **state)
{
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *p = add_set(plan, "p", BH_SET_ADDR);
	bool model[256] = { 0 }, kernel[256] = { 0 };
	uint32_t seed = 7;
	int step;

	(void)state;
	bh_plan_settle(plan);
	for (step = 0; step < 3000; step++) {
		size_t i, n = 0;

		seed = seed * 1664525u + 1013904223u;
		i = seed >> 24;
		model[i] = seed >> 8 & 1;
		if (model[i])
			bh_plan_put(plan, p, &(struct bh_elem){ .key = { (uint8_t)i } });
		else
			bh_plan_drop(plan, p, &(struct bh_elem){ .key = { (uint8_t)i } });
		if ((seed >> 16 & 31) != 0)
			continue;

		for (i = 0; i < 256; i++) {
			struct bh_elem e = { .key = { (uint8_t)i } }, found;

			assert_int_equal(bh_plan_has(p, &e), model[i]);
			if (model[i]) {
				bh_plan_elem(p, n++, &found);
				assert_memory_equal(&found, &e, sizeof(e));
			}
		}
		assert_int_equal(p->n, n);
		if ((seed >> 12 & 3) == 0) {
			bh_auto(bh_delta_free) struct bh_delta *d = bh_plan_delta(plan);
			size_t j;

			for (i = 0; d && i < d->n_ops; i++) {
				for (j = 0; j < d->ops[i].n_elems; j++)
					kernel[d->ops[i].elems[j].key[0]] ^= true;
			}
			assert_memory_equal(kernel, model, sizeof(model));
			bh_delta_free(&d);
			bh_plan_settle(plan);
		}
	}
}

static void reading_is_sorted_by_name_and_key(void **state)
{
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	const struct bh_plan_chain *const *chains;
	const struct bh_plan_set *const *sets;
	const char *const *counters;
	struct bh_plan_set *b;
	struct bh_elem e;

	(void)state;
	b = add_set(plan, "b", BH_SET_ADDR);
	add_set(plan, "a", BH_SET_ADDR);
	bh_plan_add_chain(plan, "y", NULL, BH_HOOK_NONE, 0);
	bh_plan_add_chain(plan, "x", NULL, BH_HOOK_NONE, 0);
	bh_plan_add_counter(plan, "logged");
	bh_plan_add_counter(plan, "denied");
	put(plan, b, "10.0.0.2", NULL);
	put(plan, b, "10.0.0.1", NULL);

	assert_int_equal(bh_plan_sets(plan, &sets), 2);
	assert_string_equal(sets[0]->spec.name, "a");
	assert_int_equal(sets[1]->n, 2);
	bh_plan_elem(sets[1], 0, &e);
	assert_int_equal(e.key[3], 1);
	assert_int_equal(bh_plan_chains(plan, &chains), 2);
	assert_string_equal(chains[0]->name, "x");
	assert_int_equal(bh_plan_counters(plan, &counters), 2);
	assert_string_equal(counters[0], "denied");
}

static struct bh_plan *sample(const char *comment, const char *addr, enum bh_plan_verdict v)
{
	struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_chain *c = bh_plan_add_chain(plan, "c", comment, BH_HOOK_NONE, 0);
	struct bh_plan_set *m = add_set(plan, "m", BH_SET_VERDICT_MAP);

	add_verdict(plan, c, v, NULL);
	put(plan, m, addr, c);
	return plan;
}

static void equality_says_what_differs(void **state)
{
	static const struct {
		const char *comment, *addr;
		enum bh_plan_verdict v;
		const char *want;
	} t[] = {
		{ "x", "10.0.0.1", BH_V_DROP, NULL },
		{ "y", "10.0.0.1", BH_V_DROP, "chain c: comment" },
		{ "x", "10.0.0.2", BH_V_DROP, "set m: elements" },
		{ "x", "10.0.0.1", BH_V_ACCEPT, "chain c: rules" },
	};
	bh_auto(bh_plan_free) struct bh_plan *a = sample("x", "10.0.0.1", BH_V_DROP);
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto(bh_plan_free) struct bh_plan *b = sample(t[i].comment, t[i].addr, t[i].v);
		struct bh_err err = { 0 };

		assert_int_equal(bh_plan_equal(a, b, &err), t[i].want == NULL);
		assert_contains(bh_err_text(&err), t[i].want ? t[i].want : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_laid_out_as_in_netlink),
		cmocka_unit_test(every_field_has_its_place_in_a_key),
		cmocka_unit_test(the_longest_key_is_known),
		cmocka_unit_test(ranges_have_the_form_that_nft_writes),
		cmocka_unit_test(a_protocol_is_implied_by_what_comes_after),
		cmocka_unit_test(a_delta_is_of_one_table_and_knows_what_belongs_together),
		cmocka_unit_test(a_first_delta_holds_everything_and_maps_come_in_one_piece),
		cmocka_unit_test(changes_of_used_sets_and_maps_are_never_cut),
		cmocka_unit_test(what_cancels_out_is_no_change),
		cmocka_unit_test(a_delta_that_failed_is_still_there_with_what_came_later),
		cmocka_unit_test(what_is_removed_and_added_again_is_compared_with_the_kernel),
		cmocka_unit_test(what_never_reached_the_kernel_needs_no_removal),
		cmocka_unit_test(large_new_sets_are_loaded_in_pieces),
		cmocka_unit_test(any_sequence_of_puts_and_drops_ends_in_the_right_set),
		cmocka_unit_test(reading_is_sorted_by_name_and_key),
		cmocka_unit_test(equality_says_what_differs),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
