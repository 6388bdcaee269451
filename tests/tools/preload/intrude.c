/*
 * Makes a system call from inside the agent that the agent does not make: to be
 * preloaded into bulkheadd.
 *
 * Code that an intruder runs in the process can't be had otherwise.  Whenever
 * the agent accepts a connection, the file $BH_INTRUDE is looked for.  Its content is
 * the name of one of the calls below: the file is removed, the call is made, and what
 * it returned goes to $BH_INTRUDE.result.  The filter, and what it
 * does about the call, are the kernel's own.
 *
 * With $BH_NO_SECCOMP the process starts under a filter that refuses seccomp(2), as
 * some sandboxes have it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	long nr;
	unsigned long args[4];
} calls[] = {
	{ "execve", SYS_execve, { 0 } },
	{ "execveat", SYS_execveat, { 0 } },
	{ "ptrace", SYS_ptrace, { 0 } },
	{ "process_vm_writev", SYS_process_vm_writev, { 0 } },
	{ "mount", SYS_mount, { 0 } },
	{ "move_mount", SYS_move_mount, { 0 } },
	{ "chroot", SYS_chroot, { 0 } },
	{ "setns", SYS_setns, { 0 } },
	{ "unshare", SYS_unshare, { 0 } },
	{ "bpf", SYS_bpf, { 0 } },
	{ "keyctl", SYS_keyctl, { 0 } },
	{ "init_module", SYS_init_module, { 0 } },
	{ "open_by_handle_at", SYS_open_by_handle_at, { 0 } },
	{ "setresuid", SYS_setresuid, { 0 } },
	{ "userfaultfd", SYS_userfaultfd, { 0 } },
	{ "io_uring_setup", SYS_io_uring_setup, { 0 } },
	{ "memfd_create", SYS_memfd_create, { 0 } },
	{ "clone3", SYS_clone3, { 0 } },
	{ "socket-packet", SYS_socket, { AF_PACKET, SOCK_RAW } },
	{ "socket-vsock", SYS_socket, { AF_VSOCK, SOCK_STREAM } },
	{ "socket-alg", SYS_socket, { AF_ALG, SOCK_SEQPACKET } },
	{ "clone-newns", SYS_clone, { CLONE_NEWNS | CLONE_FS } },
	{ "mprotect-exec", SYS_mprotect, { 0, 0, PROT_EXEC } },
	{ "mmap-wx", SYS_mmap, { 0, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS } },
	{ "ioctl-tiocsti", SYS_ioctl, { 0, 0x5412 } },
	{ "prctl-mm", SYS_prctl, { PR_SET_MM } },
	{ "kill-term", SYS_kill, { 1, 15 } },
	{ "socket-unix", SYS_socket, { AF_UNIX, SOCK_STREAM } },
};

static void write_result(const char *path, long r)
{
	char name[256], text[32];
	int fd, n;

	snprintf(name, sizeof(name), "%s.result", path);
	n = snprintf(text, sizeof(text), "%s\n", r < 0 ? strerrorname_np(errno) : "done");
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		abort();
	close(fd);
}

static void intrude(void)
{
	const char *path = getenv("BH_INTRUDE");
	char name[64] = "";
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	if (read(fd, name, sizeof(name) - 1) <= 0)
		name[0] = '\0';
	close(fd);
	unlink(path);
	name[strcspn(name, "\n")] = '\0';
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (strcmp(calls[i].name, name) == 0)
			write_result(path, syscall(calls[i].nr, calls[i].args[0], calls[i].args[1],
						   calls[i].args[2], calls[i].args[3]));
}

int accept4(int fd, struct sockaddr *from, socklen_t *from_len, int flags)
{
	int r = (int)syscall(SYS_accept4, fd, from, from_len, flags);

	if (r >= 0)
		intrude();
	return r;
}

__attribute__((constructor)) static void refuse_seccomp(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = filter };

	if (getenv("BH_NO_SECCOMP") && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		abort();
}
