/*
 * Files of the state folder.
 *
 * The digest finds what a power cut or a full disk left; it is no signature: who
 * may write to the folder is the agent.
 */
#include "sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/file.h"

#define FOOT     "sha256 "
#define HEX_LEN  64
#define FOOT_LEN (sizeof(FOOT) - 1 + HEX_LEN + 1)

static void make_foot(const void *a, size_t a_len, const void *b, size_t b_len,
		      char ret[FOOT_LEN + 1])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t at = sizeof(FOOT) - 1;

	if (!md || !EVP_DigestInit_ex(md, EVP_sha256(), NULL))
		abort();
	EVP_DigestUpdate(md, a, a_len);
	EVP_DigestUpdate(md, b, b_len);
	EVP_DigestFinal_ex(md, sum, &len);
	EVP_MD_CTX_free(md);
	memcpy(ret, FOOT, at);
	for (unsigned int i = 0; i < HEX_LEN / 2; i++)
		snprintf(ret + at + 2 * (size_t)i, 3, "%02x", sum[i]);
	memcpy(ret + at + HEX_LEN, "\n", 2);
}

int bh_state_make(const char *folder, struct bh_err *err)
{
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return bh_err(err, -errno, "cannot make '%s': %s", folder, strerror(errno));
	if (access(folder, W_OK | X_OK) < 0)
		return bh_err(err, -errno, "cannot write to '%s': %s", folder, strerror(errno));
	return 0;
}

/* So that the new name survives a power cut, too. */
static void sync_folder(const char *path)
{
	bh_auto_free char *folder = bh_strdup(path);
	char *slash = strrchr(folder, '/');
	bh_auto_close int fd = -1;

	if (!slash)
		return;
	*slash = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		(void)fsync(fd);
}

static int write_all(int fd, const char *head, const struct bh_buf *body)
{
	char foot[FOOT_LEN + 1];
	int r = bh_write_all(fd, head, strlen(head));

	make_foot(head, strlen(head), bh_buf_str(body), body->len, foot);
	if (r == 0)
		r = bh_write_all(fd, bh_buf_str(body), body->len);
	if (r == 0)
		r = bh_write_all(fd, foot, FOOT_LEN);
	return r < 0 ? r : fsync(fd) < 0 ? -errno : 0;
}

int bh_sealed_write(const char *path, const json_t *head, const struct bh_buf *body,
		    struct bh_err *err)
{
	bh_auto_free char *temp = bh_asprintf("%s.tmp", path);
	char *text = json_dumps(head, JSON_COMPACT);
	bh_auto_free char *line = bh_asprintf("%s\n", text ? text : "");
	bh_auto_close int fd = -1;
	int r;

	free(text);
	unlink(temp); /* of a run that was killed */
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return bh_err_wrap(err, -errno, "cannot create '%s'", temp);
	r = write_all(fd, line, body);
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(temp);
		return bh_err_wrap(err, r, "cannot write '%s'", path);
	}
	sync_folder(path);
	return 0;
}

static int open_file(const char *path, int *ret, struct bh_err *err)
{
	bh_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return bh_err_wrap(err, -errno, "cannot open '%s'", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return bh_err(err, -EINVAL, "'%s' is not a regular file", path);
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return bh_err(err, -EPERM, "'%s' is not only ours to write", path);
	*ret = bh_take_fd(fd);
	return 0;
}

int bh_sealed_read(const char *path, size_t max, json_t **ret_head, struct bh_buf *ret_body,
		   struct bh_err *err)
{
	bh_auto_close int fd = -1;
	bh_auto_free char *data = NULL;
	char foot[FOOT_LEN + 1];
	size_t len = 0, head_len;
	const char *line_end;
	json_t *head;
	int r = open_file(path, &fd, err);

	if (r == 0)
		r = bh_read_fd(fd, path, max, &data, &len, err);
	if (r < 0)
		return r;
	if (len < FOOT_LEN)
		return bh_err(err, -EBADMSG, "'%s' is damaged: it is cut off", path);
	len -= FOOT_LEN;
	make_foot(data, len, "", 0, foot);
	line_end = memchr(data, '\n', len);
	if (!line_end || memcmp(data + len, foot, FOOT_LEN) != 0)
		return bh_err(err, -EBADMSG, "'%s' is damaged: its digest is another", path);
	head_len = (size_t)(line_end + 1 - data);
	head = json_loadb(data, head_len, 0, NULL);
	if (!head)
		return bh_err(err, -EBADMSG, "'%s' is damaged: its first line is no JSON", path);
	bh_buf_add(ret_body, data + head_len, len - head_len);
	*ret_head = head;
	return 0;
}
