/*
 * The port guard's chain of one port, and those that it leads to where the pod has
 * networks behind it.
 */
#include "guard_impl.h"

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

/* Before FDB, conntrack and everything that others hang there. */
#define INGRESS_PRIORITY (-500)

/*
 * The port's chain compares this many of its pod's addresses, one or two of each family
 * and the link-local one; more are looked up.
 */
#define MAX_COMPARED 4

static void add_rule(struct bh_guard *g, struct bh_plan_chain *chain, const struct bh_expr *exprs,
		     size_t n)
{
	guard_add_rule(g->plans[BH_TABLE_NETDEV], chain, exprs, n);
}

static void add_goto(struct bh_guard *g, struct bh_plan_chain *chain, enum guard_chain to)
{
	const struct bh_expr e = { .kind = BH_EXPR_VERDICT,
				   .verdict = BH_V_GOTO,
				   .chain = g->chains[to] };

	add_rule(g, chain, &e, 1);
}

static void add_match(struct bh_guard *g, struct bh_plan_chain *chain, const struct bh_cidr *cidr)
{
	const struct bh_expr exprs[] = {
		guard_is_in(BH_LOAD_SADDR, cidr),
		{ .kind = BH_EXPR_VERDICT, .verdict = BH_V_ACCEPT },
	};

	add_rule(g, chain, exprs, BH_ARRAY_LEN(exprs));
}

static bool has_extra(const struct guard_port *p, enum bh_family family)
{
	for (size_t i = 0; i < p->n_extra; i++)
		if (p->extra[i].addr.family == family)
			return true;
	return false;
}

static struct bh_plan_chain *new_chain(struct bh_guard *g, const struct guard_port *p,
				       const char *kind)
{
	bh_auto_free char *name = bh_asprintf("%s_%s", kind, p->chain->name);

	return bh_plan_add_chain(g->plans[BH_TABLE_NETDEV], name, NULL, BH_HOOK_NONE, 0);
}

/*
 * Networks behind the pod, from which its operator lets it send: a chain of the port
 * and the family, to which the EtherType leads in place of the common one.
 */
static void add_extra(struct bh_guard *g, struct guard_port *p, enum bh_family family)
{
	/* What is no discovery comes back from there, and is let pass by its source. */
	const struct bh_expr discovery[] = {
		guard_is_range(BH_LOAD_L4PROTO, IPPROTO_ICMPV6, IPPROTO_ICMPV6),
		{ .kind = BH_EXPR_VERDICT, .verdict = BH_V_JUMP, .chain = g->chains[GUARD_ICMP6] },
	};
	struct bh_plan_chain *chain;

	if (!has_extra(p, family))
		return;
	chain = new_chain(g, p, family == BH_IPV4 ? "extra4" : "extra6");
	if (family == BH_IPV6)
		add_rule(g, chain, discovery, BH_ARRAY_LEN(discovery));
	for (size_t i = 0; i < p->n_extra; i++)
		if (p->extra[i].addr.family == family)
			add_match(g, chain, &p->extra[i]);
	add_goto(g, chain, family == BH_IPV4 ? GUARD_FROM_IP4 : GUARD_FROM_IP6);
	p->extra_chains[family] = chain;
}

/* A host asks for its next hop with the source of the packet that waits for it. */
static void add_extra_arp(struct bh_guard *g, struct guard_port *p)
{
	struct bh_expr exprs[] = {
		guard_is_range(BH_LOAD_LENGTH, 0, ARP_MAX_LEN),
		guard_is_range(BH_LOAD_ARP_HTYPE, ARPHRD_ETHER, ARPHRD_ETHER),
		guard_is_range(BH_LOAD_ARP_PTYPE, ETH_P_IP, ETH_P_IP),
		guard_is_range(BH_LOAD_ARP_HLEN, ETH_ALEN, ETH_ALEN),
		guard_is_range(BH_LOAD_ARP_PLEN, 4, 4),
		{ .kind = BH_EXPR_LOOKUP, .key = BH_KEY_IIF_ARP_SHA, .set = g->sets[GUARD_MACS] },
		{ 0 },
		{ .kind = BH_EXPR_VERDICT, .verdict = BH_V_ACCEPT },
	};

	if (!has_extra(p, BH_IPV4))
		return;
	p->extra_arp = new_chain(g, p, "extra_arp");
	for (size_t i = 0; i < p->n_extra; i++) {
		if (p->extra[i].addr.family != BH_IPV4)
			continue;
		exprs[BH_ARRAY_LEN(exprs) - 2] = guard_is_in(BH_LOAD_ARP_SPA, &p->extra[i]);
		add_rule(g, p->extra_arp, exprs, BH_ARRAY_LEN(exprs));
	}
	add_goto(g, p->extra_arp, GUARD_FROM_ARP);
}

static void add_own_type(struct bh_guard *g, const struct guard_port *p, uint16_t type,
			 const struct bh_plan_chain *to)
{
	const struct bh_expr exprs[] = {
		guard_is_range(BH_LOAD_ETHER_TYPE, type, type),
		{ .kind = BH_EXPR_VERDICT, .verdict = BH_V_GOTO, .chain = to },
	};

	if (to)
		add_rule(g, p->by_type, exprs, BH_ARRAY_LEN(exprs));
}

/* The common chain, behind those of the port's own for types that have one. */
static const struct bh_plan_chain *add_own_types(struct bh_guard *g, struct guard_port *p)
{
	add_extra(g, p, BH_IPV4);
	add_extra(g, p, BH_IPV6);
	add_extra_arp(g, p);
	p->by_type = new_chain(g, p, "by_type");
	add_own_type(g, p, ETH_P_IP, p->extra_chains[BH_IPV4]);
	add_own_type(g, p, ETH_P_IPV6, p->extra_chains[BH_IPV6]);
	add_own_type(g, p, ETH_P_ARP, p->extra_arp);
	add_goto(g, p->by_type, GUARD_BY_TYPE);
	return p->by_type;
}

size_t guard_n_compared(size_t n_addrs)
{
	return n_addrs < MAX_COMPARED ? n_addrs : MAX_COMPARED;
}

/*
 * Most packets end here.  The same answer as that of the common chains behind it, which
 * look the address up: comparing costs a third of that.  Discovery is theirs alone.
 */
static void add_compare(struct bh_guard *g, const struct guard_port *p, const struct bh_addr *a)
{
	const uint16_t type = a->family == BH_IPV4 ? ETH_P_IP : ETH_P_IPV6;
	struct bh_expr exprs[4] = {
		{ .kind = BH_EXPR_MATCH,
		  .load = BH_LOAD_RAW_SADDR,
		  .op = BH_MATCH_BYTES,
		  .family = a->family },
		{ .kind = BH_EXPR_MATCH, .load = BH_LOAD_ETHER_FROM, .op = BH_MATCH_BYTES },
	};
	size_t n = 2;

	memcpy(exprs[0].bytes, a->bytes, sizeof(exprs[0].bytes));
	memcpy(exprs[1].bytes, p->mac, ETH_ALEN);
	exprs[1].bytes[ETH_ALEN] = (uint8_t)(type >> 8);
	exprs[1].bytes[ETH_ALEN + 1] = (uint8_t)type;
	if (a->family == BH_IPV6) {
		exprs[n] = guard_is_range(BH_LOAD_L4PROTO, IPPROTO_ICMPV6, IPPROTO_ICMPV6);
		exprs[n++].op = BH_MATCH_NOT_RANGE;
	}
	exprs[n++] = (struct bh_expr){ .kind = BH_EXPR_VERDICT, .verdict = BH_V_ACCEPT };
	add_rule(g, p->chain, exprs, n);
}

/*
 * Sets and no maps: when a chain with a hook comes, the kernel follows each of its table
 * to every chain that a map of verdicts may lead to, element by element.
 */
static void add_pod_rules(struct bh_guard *g, struct guard_port *p)
{
	struct bh_expr macs[] = {
		{ .kind = BH_EXPR_LOOKUP,
		  .key = BH_KEY_IIF_ETHER_SADDR,
		  .set = g->sets[GUARD_MACS] },
		{ .kind = BH_EXPR_VERDICT,
		  .verdict = BH_V_GOTO,
		  .chain = g->chains[GUARD_BY_TYPE] },
	};

	if (p->n_extra > 0)
		macs[1].chain = add_own_types(g, p);
	for (size_t i = 0; i < guard_n_compared(p->n_addrs); i++)
		add_compare(g, p, &p->addrs[i]);
	add_rule(g, p->chain, macs, BH_ARRAY_LEN(macs));
	add_goto(g, p->chain, GUARD_FROM_OTHER);
}

static void digest_rules(const struct guard_port *p, char ret[BH_DIGEST_LEN + 1])
{
	struct {
		char extra[BH_DIGEST_LEN + 1];
		uint8_t mac[ETH_ALEN];
		struct bh_addr addrs[MAX_COMPARED];
	} says;

	memset(&says, 0, sizeof(says));
	bh_digest(p->extra, p->n_extra * sizeof(*p->extra), says.extra);
	memcpy(says.mac, p->mac, sizeof(says.mac));
	memcpy(says.addrs, p->addrs, guard_n_compared(p->n_addrs) * sizeof(*p->addrs));
	bh_digest(&says, sizeof(says), ret);
}

/*
 * Named by all that its rules say.  Names of links may hold what no chain's name may;
 * the index makes it unique.
 */
void guard_add_chain(struct bh_guard *g, struct guard_port *p)
{
	const char *kind = p->pod ? "port" : p->is_shut ? "closed" : "wild";
	char digest[BH_DIGEST_LEN + 1] = "";
	bh_auto_free char *name = NULL;

	if (p->pod)
		digest_rules(p, digest);
	name = bh_asprintf("%s_%u_%s%s%.12s", kind, p->ifindex, p->name, *digest ? "." : "",
			   digest);
	for (char *s = name; *s; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		      (*s >= '0' && *s <= '9') || *s == '_' || *s == '.' || *s == '-'))
			*s = '_';
	p->chain = bh_plan_add_ingress(g->plans[BH_TABLE_NETDEV], name, p->name, INGRESS_PRIORITY);
	if (p->pod)
		add_pod_rules(g, p);
	else
		add_goto(g, p->chain, p->is_shut ? GUARD_NO_POD : GUARD_WILD);
}

void guard_remove_chain(struct bh_guard *g, struct guard_port *p)
{
	bh_plan_remove_chain(g->plans[BH_TABLE_NETDEV], p->chain);
	if (p->by_type)
		bh_plan_remove_chain(g->plans[BH_TABLE_NETDEV], p->by_type);
	if (p->extra_arp)
		bh_plan_remove_chain(g->plans[BH_TABLE_NETDEV], p->extra_arp);
	for (enum bh_family f = 0; f < BH_FAMILY_COUNT_; f++)
		if (p->extra_chains[f])
			bh_plan_remove_chain(g->plans[BH_TABLE_NETDEV], p->extra_chains[f]);
}
