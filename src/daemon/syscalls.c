/*
 * The tables of system calls: which are allowed and why, which arguments are
 * checked, and which calls are never made.
 *
 * Names are resolved for the architecture of the build; a name that it does not
 * have (open on aarch64) is skipped.
 */
#include "syscalls.h"

#include <asm/ioctls.h>
#include <linux/prctl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "bh/alloc.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_SANITIZERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_SANITIZERS 1
#endif
#endif
#ifndef HAS_SANITIZERS
#define HAS_SANITIZERS 0
#endif

#define CALLS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const struct bh_syscall_group groups[] = {
	{ "loop", "the event loop waits for sockets and timers, and wakes itself up",
	  BH_SYSCALL_SEEN, CALLS("epoll_wait", "epoll_ctl", "poll", "futex", "getpid") },
	{ "descriptors", "sockets, pipes and files that are already open", BH_SYSCALL_SEEN,
	  CALLS("read", "write", "writev", "close", "lseek", "pread64", "fcntl") },
	{ "sockets",
	  "netlink, the control socket, the metrics page, the container runtime, the Kubernetes "
	  "API, DNS and the service manager",
	  BH_SYSCALL_SEEN,
	  CALLS("bind", "connect", "accept4", "sendto", "sendmsg", "sendmmsg", "recvfrom",
		"recvmsg", "getsockopt", "setsockopt", "getsockname", "getpeername", "shutdown") },
	{ "files", "manifests, credentials, the flow log and its rotation, and the cached state",
	  BH_SYSCALL_SEEN,
	  CALLS("openat", "newfstatat", "getdents64", "readlink", "unlink", "ftruncate", "link",
		"fchmod", "fchown", "inotify_init1", "inotify_add_watch", "inotify_rm_watch") },
	{ "memory", "malloc, sorting, and giving pages back after start", BH_SYSCALL_SEEN,
	  CALLS("brk", "munmap", "madvise", "mremap", "sysinfo") },
	{ "signals", "SIGHUP, SIGTERM and SIGINT, and the end", BH_SYSCALL_SEEN,
	  CALLS("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "exit_group") },
	{ "alarm", "what ends a call of libcurl that does not come back", BH_SYSCALL_SEEN,
	  CALLS("setitimer") },
	{ "random", "TLS and hash seeds", BH_SYSCALL_SEEN, CALLS("getrandom") },
	{ "child",
	  "the process that writes the state of the API, which is renamed when it is whole",
	  BH_SYSCALL_SEEN, CALLS("pipe2", "wait4", "set_robust_list", "fsync", "rename") },
	{ "thread", "the thread that resolves the API server's name", BH_SYSCALL_SEEN,
	  CALLS("rseq", "exit", "uname") },
	{ "names",
	  "another name of a call above: other architectures, other versions of the C library",
	  BH_SYSCALL_SPARE,
	  CALLS("epoll_pwait", "epoll_pwait2", "epoll_create1", "ppoll", "select", "pselect6",
		"eventfd2", "dup", "dup2", "dup3", "gettid", "access", "pipe", "readv", "preadv",
		"pwrite64", "pwritev", "pwritev2", "preadv2", "_llseek", "fcntl64", "recvmmsg",
		"accept", "open", "stat", "lstat", "fstat", "fstat64", "stat64", "lstat64",
		"fstatat64", "statx", "openat2", "getdents", "renameat", "renameat2", "unlinkat",
		"linkat", "fchownat", "fchmodat", "chmod", "fchown32", "mkdir", "mkdirat",
		"faccessat", "faccessat2", "readlinkat", "getcwd", "fdatasync", "waitid", "waitpid",
		"close_range", "fork", "sigreturn", "recv", "send", "ftruncate64", "fstatfs64",
		"statfs64") },
	{ "files-rare", "what the C library does when a file is large, full or locked",
	  BH_SYSCALL_SPARE,
	  CALLS("fallocate", "fadvise64", "flock", "fstatfs", "statfs", "umask",
		"copy_file_range") },
	{ "time", "where the vDSO has no clock, the kernel is asked", BH_SYSCALL_SPARE,
	  CALLS("clock_gettime", "clock_getres", "gettimeofday", "time", "nanosleep",
		"clock_nanosleep", "restart_syscall", "clock_gettime64", "clock_nanosleep_time64",
		"futex_time64", "ppoll_time64") },
	{ "facts", "a library asks about the process or the machine; nothing is changed",
	  BH_SYSCALL_SPARE,
	  CALLS("getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getppid",
		"getpgrp", "times", "getrusage", "getrlimit", "ugetrlimit", "sched_getaffinity",
		"sched_getparam", "sched_getscheduler", "getcpu", "sched_yield", "membarrier",
		"set_tid_address", "capget", "getgroups") },
	{ "fatal", "assert, abort and stack-smashing reports", BH_SYSCALL_SPARE,
	  CALLS("sigaltstack", "rt_sigtimedwait", "rt_sigpending") },
#if HAS_SANITIZERS
	{ "sanitizers",
	  "the leak check stops this process from a helper that traces it, and reads its memory",
	  BH_SYSCALL_SPARE,
	  CALLS("ptrace", "process_vm_readv", "prctl", "tgkill", "kill", "msync", "mincore",
		"arch_prctl", "setrlimit") },
#endif
};

#define VALUES(...)                                                                                \
	.values = (const uint64_t[]){ __VA_ARGS__ },                                               \
	.n_values = sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t)

/* The kernel takes an int: what is above 32 bits of the register is ignored. */
#define INT UINT64_C(0xffffffff)

#define CLONE_NEW_ANY                                                                              \
	((uint64_t)(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |  \
		    CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE))

#ifdef __s390x__
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif

static const struct bh_syscall_check checks[] = {
	{ "socket", "the address families above; no packet sockets, no AF_ALG, no AF_VSOCK", 0, INT,
	  VALUES(AF_UNIX, AF_INET, AF_INET6, AF_NETLINK) },
	{ "socketpair", "the loop and the HTTP library wake themselves up by one", 0, INT,
	  VALUES(AF_UNIX) },
	{ "clone", "threads and fork; no new namespace", CLONE_FLAGS, CLONE_NEW_ANY, VALUES(0) },
	{ "mmap2", "mmap of 32-bit architectures", 2, PROT_WRITE | PROT_EXEC,
	  VALUES(0, PROT_WRITE, PROT_EXEC) },
	{ "mmap", "shared objects of the name service; memory is not writable and executable", 2,
	  PROT_WRITE | PROT_EXEC, VALUES(0, PROT_WRITE, PROT_EXEC) },
	{ "mprotect", "memory does not become executable", 2, PROT_EXEC, VALUES(0) },
	{ "ioctl", "non-blocking sockets, the size of what is waiting, is it a terminal", 1, INT,
	  VALUES(FIONBIO, FIONREAD, FIOCLEX, TCGETS, SIOCGIFINDEX, SIOCGIFNAME) },
	{ "prctl", "names of threads and of memory, the child ends with the agent", 0, INT,
	  VALUES(PR_SET_NAME, PR_GET_NAME, PR_SET_PDEATHSIG, PR_SET_VMA, PR_CAPBSET_READ,
		 PR_GET_DUMPABLE) },
	{ "kill", "the child that writes the state is ended", 1, INT, VALUES(SIGKILL) },
	{ "tgkill", "abort", 2, INT, VALUES(SIGABRT) },
	{ "prlimit64", "limits are read, not set", 2, UINT64_MAX, VALUES(0) },
};

static const char *const forbidden[] = {
	/* other programs, other processes' memory */
	"execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
	"kcmp", "userfaultfd",
	/* the file system's view, handles that go around it */
	"mount", "umount2", "umount", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen",
	"fsconfig", "fsmount", "fspick", "mount_setattr", "open_by_handle_at", "mknod", "mknodat",
	"swapon", "swapoff", "quotactl", "quotactl_fd",
	/* namespaces */
	"setns", "unshare", "sethostname", "setdomainname",
	/* code in the kernel */
	"init_module", "finit_module", "delete_module", "create_module", "kexec_load",
	"kexec_file_load", "bpf", "perf_event_open",
	/* keys, users, capabilities */
	"keyctl", "add_key", "request_key", "setuid", "setgid", "setreuid", "setregid", "setresuid",
	"setresgid", "setgroups", "setfsuid", "setfsgid", "capset", "personality",
	/* the machine */
	"reboot", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "acct",
	"syslog", "vhangup", "iopl", "ioperm", "modify_ldt", "nfsservctl", "lookup_dcookie", NULL
};

const struct bh_syscall_group *bh_syscall_groups(size_t *n)
{
	*n = BH_ARRAY_LEN(groups);
	return groups;
}

const struct bh_syscall_check *bh_syscall_checks(size_t *n)
{
	*n = BH_ARRAY_LEN(checks);
	return checks;
}

const char *const *bh_syscalls_forbidden(void)
{
	return forbidden;
}

bool bh_syscall_is_allowed(const char *call)
{
	for (size_t i = 0; i < BH_ARRAY_LEN(groups); i++)
		for (size_t k = 0; groups[i].calls[k]; k++)
			if (strcmp(groups[i].calls[k], call) == 0)
				return true;
	for (size_t i = 0; i < BH_ARRAY_LEN(checks); i++)
		if (strcmp(checks[i].call, call) == 0)
			return true;
	return false;
}
