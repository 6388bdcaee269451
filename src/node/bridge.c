/*
 * Bridges and br_netfilter.
 *
 * Packets between two ports of one bridge are switched, not routed.  They come
 * past the inet hooks only where br_netfilter hands them over, which it does per
 * network namespace and family (Documentation/networking/ip-sysctl.rst,
 * /proc/sys/net/bridge/).  /proc/sys/net shows the namespace of the reader, so
 * plain files are right here; /sys/class/net does not (it shows the namespace it
 * was mounted in), so bridges are looked up by rtnetlink.
 */
#include "bh/node.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/file.h"
#include "link.h"

static const char *const keys[] = { "bridge-nf-call-iptables", "bridge-nf-call-ip6tables" };

static const char *key_path(const char *key, char buf[64])
{
	snprintf(buf, 64, "/proc/sys/net/bridge/%s", key);
	return buf;
}

/* 1, 0, or a negative errno. */
static int read_key(const char *key)
{
	bh_auto_free char *text = NULL;
	char path[64];
	size_t len;
	bh_auto_close int fd = open(key_path(key, path), O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = bh_read_fd(fd, path, 16, &text, &len, NULL);
	if (r < 0)
		return r;
	return len > 0 && text[0] != '0';
}

static int write_key(const char *key)
{
	char path[64];
	bh_auto_close int fd = open(key_path(key, path), O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return bh_write_all(fd, "1\n", 2);
}

static void note_bridge(void *ctx, const struct bh_link *link)
{
	char *name = ctx;

	if (!name[0] && link->is_bridge)
		memcpy(name, link->name, sizeof(link->name));
}

static void forget_bridge(void *ctx)
{
	char *name = ctx;

	name[0] = '\0';
}

/* The name of some bridge of this network namespace in @name; "" if there is none. */
static int find_bridge(char name[IFNAMSIZ], struct bh_err *err)
{
	bh_auto(bh_nl_free) struct bh_nl *nl = NULL;
	int r;

	forget_bridge(name);
	r = bh_link_open(&nl, err);
	return r < 0 ? r : bh_link_list(nl, note_bridge, forget_bridge, name, err);
}

static enum bh_bridge_state bypassed(struct bh_buf *text, const char *bridge, const char *key,
				     int code)
{
	if (!text)
		return BH_BRIDGE_BYPASSED;
	bh_buf_printf(text, "traffic between pods on bridge %s bypasses the rules: ", bridge);
	if (code == -ENOENT)
		bh_buf_puts(text, "the kernel module br_netfilter is not loaded "
				  "(fix: modprobe br_netfilter)");
	else if (code < 0)
		bh_buf_printf(
			text,
			"net.bridge.%s is 0 and cannot be set: %s (fix: sysctl -w net.bridge.%s=1)",
			key, strerrordesc_np(-code), key);
	else
		bh_buf_printf(text, "net.bridge.%s is 0 (fix: sysctl -w net.bridge.%s=1)", key,
			      key);
	return BH_BRIDGE_BYPASSED;
}

enum bh_bridge_state bh_node_bridges(const char *bridge, bool repair, struct bh_buf *text)
{
	enum bh_bridge_state state = BH_BRIDGE_FILTERED;
	char found[IFNAMSIZ];

	/* Not knowing whether there is one, assume that there is. */
	if (!bridge)
		bridge = find_bridge(found, NULL) < 0 ? "(unknown)" : found;
	if (!bridge[0])
		return BH_BRIDGE_FILTERED;

	for (size_t i = 0; i < BH_ARRAY_LEN(keys); i++) {
		int r = read_key(keys[i]);

		if (r == 1)
			continue;
		if (r < 0 || !repair)
			return bypassed(text, bridge, keys[i], r);
		r = write_key(keys[i]);
		if (r < 0)
			return bypassed(text, bridge, keys[i], r);
		if (read_key(keys[i]) != 1)
			return bypassed(text, bridge, keys[i], 0);
		state = BH_BRIDGE_REPAIRED;
	}
	if (state == BH_BRIDGE_REPAIRED && text)
		bh_buf_printf(text,
			      "set net.bridge.bridge-nf-call-iptables and -ip6tables to 1, because "
			      "traffic between pods on bridge %s would bypass the rules",
			      bridge);
	return state;
}
