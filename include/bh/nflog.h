/*
 * Packets from the kernel's NFLOG (linux/netfilter/nfnetlink_log.h).
 */
#ifndef BH_NFLOG_H
#define BH_NFLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bh/err.h"

struct nlmsghdr;

/* Pointers are into the message and valid during the call. */
struct bh_nflog_msg {
	const char *prefix; /* NUL-terminated, never NULL */
	const uint8_t *payload;
	size_t payload_len;
	uint64_t timestamp_ns; /* real time; 0 if the kernel gave none */
	uint8_t hook;          /* NF_INET_*; NF_BR_* and NF_NETDEV_INGRESS by family */
	uint8_t family;        /* NFPROTO_IPV4, _IPV6, _NETDEV, _BRIDGE */
	uint16_t ether_type;   /* ETH_P_* of the payload, host byte order; 0 if not told */
	bool has_seq;
	uint32_t seq; /* of this group's instance, counts from 0 */
	uint32_t in_ifindex, out_ifindex, physin_ifindex, physout_ifindex;
	uint32_t mark;
};

/* One NFULNL_MSG_PACKET message; -EBADMSG if malformed. */
int bh_nflog_parse(const struct nlmsghdr *h, struct bh_nflog_msg *ret);

struct bh_nflog;

struct bh_nflog_config {
	uint16_t group;
	uint32_t copy_len;     /* bytes of each packet */
	uint32_t rcvbuf_bytes; /* 0: 8 MiB */
};

/* -EBUSY with text if another process has the group in this network namespace. */
int bh_nflog_new(struct bh_nflog **ret, const struct bh_nflog_config *config, struct bh_err *err);
void bh_nflog_free(struct bh_nflog **n);
int bh_nflog_fd(const struct bh_nflog *n);

struct bh_nflog_handler {
	void *ctx;
	void (*on_packet)(void *ctx, const struct bh_nflog_msg *msg);
	/* @n packets between the last and the next one were lost. */
	void (*on_lost)(void *ctx, uint32_t n);
	/* The socket overflowed; how many were lost shows by the next sequence. */
	void (*on_overrun)(void *ctx);
};

/*
 * One recv() a call on purpose, so that other sources get their turn.  -EAGAIN if
 * empty.  A message that is malformed is left out and shows as lost.
 */
int bh_nflog_read(struct bh_nflog *n, const struct bh_nflog_handler *handler, struct bh_err *err);

#endif
