/*
 * Reading waits a moment for the API, and then takes a portion in each turn of the
 * loop, so that whoever else has something to say is heard.  The kernel holds the
 * rules of the run before, so nothing is open meanwhile.  Of a kind that the API
 * has listed by then, or an object that it has told of, the file says nothing any
 * more.
 */
#include "cache.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/file.h"
#include "bh/log.h"
#include "cachefile.h"
#include "handle.h"

#define READ_AFTER_MS  5000
#define FIRST_WRITE_MS 2000
#define WRITE_EVERY_MS 180000
/* Facts in one turn of the loop: some milliseconds. */
#define PORTION 256

static struct bh_cachefile_info info_of(const struct bh_cache *c)
{
	struct bh_kube_stats stats = bh_kube_stats(c->agent->sources.kube);
	struct bh_cachefile_info info = { .real_ns = bh_real_ns() };

	snprintf(info.of, sizeof(info.of), "%s", stats.server);
	return info;
}

/* --- reading --------------------------------------------------------------------------- */

/* In one portion. */
struct reading {
	struct bh_cache *cache;
	struct bh_kube_stats stats;
};

static enum bh_kube_resource resource_of(const struct bh_key *key)
{
	switch (key->kind) {
	case BH_KIND_NAMESPACE: return BH_KUBE_NAMESPACES;
	case BH_KIND_NODE: return BH_KUBE_NODES;
	case BH_KIND_POD: return BH_KUBE_PODS;
	case BH_KIND_POLICY:
		return key->policy_kind == BH_NETWORK_POLICY ? BH_KUBE_NETWORK_POLICIES
							     : BH_KUBE_CLUSTER_NETWORK_POLICIES;
	case BH_KIND_COUNT_: break;
	}
	abort();
}

static void on_fact(void *ctx, const struct bh_fact *fact)
{
	struct reading *r = ctx;
	struct bh_agent *a = r->cache->agent;
	const struct bh_key key = bh_fact_key(fact);

	if (r->stats.resources[resource_of(&key)].is_synced || bh_world_is_told(a->world, &key) ||
	    !bh_kube_adopt(a->sources.kube, &key))
		return;
	a->sources.sink.on_put(a->sources.sink.ctx, fact);
	r->cache->n_used++;
}

static void end_reading(struct bh_cache *c)
{
	uv_idle_stop(&c->reader);
	bh_cachefile_close(&c->file);
}

static void give_up(struct bh_cache *c, const struct bh_err *err)
{
	end_reading(c);
	c->writer.state_ns = 0;
	bh_log_error("'%s': %s, rules stay as they are in the kernel", c->path, bh_err_text(err));
}

static void use(struct bh_cache *c)
{
	char time[BH_TIME_STRLEN];

	end_reading(c);
	c->is_in_use = true;
	bh_log_warning("the Kubernetes API has not listed everything yet: using its state of %s, "
		       "%zu objects",
		       bh_time_format(c->writer.state_ns, time), c->n_used);
	bh_reconcile_defer(&c->agent->reconcile, true);
	bh_agent_update_ready(c->agent);
}

static void on_reader(uv_idle_t *idle)
{
	struct bh_cache *c = bh_container_of(idle, struct bh_cache, reader);
	struct reading r = { .cache = c, .stats = bh_kube_stats(c->agent->sources.kube) };
	struct bh_err err = { 0 };
	int n = bh_cachefile_read(c->file, PORTION, on_fact, &r, &err);

	if (n < 0)
		give_up(c, &err);
	else if (n == 0)
		use(c);
}

static void on_read_timer(uv_timer_t *timer)
{
	struct bh_cache *c = bh_container_of(timer, struct bh_cache, read_timer);
	bh_auto_close int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct bh_kube_stats stats = bh_kube_stats(c->agent->sources.kube);
	struct bh_cachefile_info info = { 0 };
	struct bh_err err = { 0 };

	if (fd < 0 && errno == ENOENT) {
		bh_log_warning(
			"the Kubernetes API has not listed everything and there is no '%s' yet: "
			"rules stay as they are in the kernel",
			c->path);
		return;
	}
	if (fd < 0)
		bh_err(&err, -errno, "cannot be opened: %s", strerror(errno));
	if (fd < 0 || bh_cachefile_open(&c->file, fd, stats.server, &info, &err) < 0) {
		give_up(c, &err);
		return;
	}
	c->writer.state_ns = info.real_ns;
	uv_idle_start(&c->reader, on_reader);
}

void bh_cache_end_use(struct bh_cache *c)
{
	if (!c->agent)
		return;
	uv_timer_stop(&c->read_timer);
	end_reading(c);
	c->is_in_use = false;
}

/* --- writing ----------------------------------------------------------------------------- */

static int write_state(void *ctx, uint64_t *ret_real_ns, struct bh_err *err)
{
	const struct bh_cache *c = ctx;
	struct bh_cachefile_info info = info_of(c);
	int r = bh_cachefile_write(c->path, c->agent->world, &info, err);

	if (r == 0)
		*ret_real_ns = info.real_ns;
	return r;
}

void bh_cache_note(struct bh_cache *c)
{
	if (!c->agent)
		return;
	c->writer.is_allowed =
		c->agent->sources.kube && c->agent->sources.is_synced[BH_SOURCE_KUBE];
	bh_statewriter_note(&c->writer);
}

/* --- life -------------------------------------------------------------------------------- */

int bh_state_make_folder(const char *path, struct bh_err *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return bh_err(err, -errno, "cannot make '%s': %s", path, strerror(errno));
	if (access(path, W_OK | X_OK) < 0)
		return bh_err(err, -errno, "cannot write to '%s': %s", path, strerror(errno));
	return 0;
}

int bh_cache_start(struct bh_cache *c, struct bh_agent *agent, struct bh_err *err)
{
	const struct bh_config *config = agent->config;
	int r;

	if (!config->state || !bh_config_has_kube(config))
		return 0;
	r = bh_state_make_folder(config->state, err);
	if (r < 0)
		return r;
	*c = (struct bh_cache){
		.agent = agent,
		.writer = { .loop = agent->loop,
			    .write = write_state,
			    .ctx = c,
			    .first_ms = FIRST_WRITE_MS,
			    .every_ms = WRITE_EVERY_MS,
			    .loss = "a restart while the API is away would have an older state" },
	};
	c->path = bh_asprintf("%s/kube.cache", config->state);
	uv_timer_init(agent->loop, &c->read_timer);
	bh_statewriter_start(&c->writer);
	uv_idle_init(agent->loop, &c->reader);
	uv_timer_start(&c->read_timer, on_read_timer, READ_AFTER_MS, 0);
	return 0;
}

void bh_cache_stop(struct bh_cache *c)
{
	if (!c->agent)
		return;
	bh_statewriter_stop(&c->writer);
	bh_close_handle((uv_handle_t *)&c->read_timer);
	bh_close_handle((uv_handle_t *)&c->reader);
	bh_cachefile_close(&c->file);
	free(c->path);
	c->path = NULL;
}
