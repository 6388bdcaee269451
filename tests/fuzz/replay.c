/*
 * main() of the fuzz harnesses in normal builds: runs every file of the folders
 * and files named on the command line through the harness, so that inputs that
 * once found a bug guard against it with any compiler.  Each runs cut off at
 * several places, too: whatever is read must be able to end anywhere.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bh/alloc.h"
#include "bh/file.h"

#define MAX_BYTES (16u << 20)
#define N_CUTS    32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned int n_runs;

/* In exactly that many bytes, so that a sanitizer sees one too far. */
static void replay_bytes(const char *data, size_t len)
{
	bh_auto_free char *exact = bh_malloc(len + (len == 0));

	memcpy(exact, data, len);
	LLVMFuzzerTestOneInput((const uint8_t *)exact, len);
}

static int replay_file(const char *path)
{
	bh_auto_free char *data = NULL;
	struct bh_err err = { 0 };
	size_t len = 0;

	if (bh_read_file(path, MAX_BYTES, &data, &len, &err) < 0) {
		fprintf(stderr, "%s\n", bh_err_text(&err));
		return 1;
	}
	for (size_t i = 0; i <= N_CUTS; i++)
		replay_bytes(data, len * i / N_CUTS);
	n_runs++;
	return 0;
}

static int replay_folder(const char *path)
{
	struct dirent **list = NULL;
	int n = scandir(path, &list, NULL, alphasort), r = 0;

	if (n < 0) {
		perror(path);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.') {
			bh_auto_free char *file = bh_asprintf("%s/%s", path, list[i]->d_name);

			r |= replay_file(file);
		}
		free(list[i]);
	}
	free(list);
	return r;
}

int main(int argc, char **argv)
{
	int r = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			r |= replay_folder(argv[i]);
		else
			r |= replay_file(argv[i]);
	}
	printf("%u inputs\n", n_runs);
	return r || n_runs == 0;
}
