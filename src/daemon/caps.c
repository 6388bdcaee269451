#include "caps.h"

#include <errno.h>
#include <sys/prctl.h>

#include <cap-ng.h>

int bh_caps_check(struct bh_err *err)
{
	if (capng_get_caps_process() < 0)
		return bh_err(err, -EIO, "cannot read this process's capabilities");
	if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN))
		return bh_err(
			err, -EPERM,
			"CAP_NET_ADMIN is missing, so the firewall cannot be changed (fix: run as "
			"root)");
	return 0;
}

int bh_caps_drop(struct bh_err *err)
{
	capng_select_t sets = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;

	if (capng_get_caps_process() < 0)
		return bh_err(err, -EIO, "cannot read this process's capabilities");
	/* The bounding set can only be shrunk by who has CAP_SETPCAP, capabilities(7). */
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
		sets = CAPNG_SELECT_ALL;
	capng_clear(sets);
	if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN) < 0)
		return bh_err(err, -EIO, "cannot choose capabilities");
	if ((sets & CAPNG_SELECT_BOUNDS) &&
	    capng_update(CAPNG_ADD, CAPNG_BOUNDING_SET, CAP_NET_ADMIN) < 0)
		return bh_err(err, -EIO, "cannot choose capabilities");
	if (capng_apply(sets) < 0)
		return bh_err(err, -EPERM, "cannot give up capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return bh_err_wrap(err, -errno, "cannot set no_new_privs");
	return 0;
}

int bh_caps_drop_all(struct bh_err *err)
{
	if (capng_get_caps_process() < 0)
		return bh_err(err, -EIO, "cannot read this process's capabilities");
	capng_clear(CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT);
	if (capng_apply(CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT) < 0)
		return bh_err(err, -EPERM, "cannot give up capabilities");
	return 0;
}
