// SPDX-License-Identifier: Apache-2.0
/*
 * Sees doors as the kernel does, which bpftool of Debian 12 cannot: it says of a tcx link neither
 * where it is nor that it has lost its interface.
 *
 *   doors list PINS                  each pinned link: where, which program, whose maps it reads
 *   doors send PINS [VIP:PORT]...    a SYN through each door leaves it as the tables say
 *   doors left SEED                  what the kernel holds of data planes with this seed
 *
 * Numbers that change from start to start (of links, programs and maps) are not shown.
 */
#include "../../user/kernel/internal.h"

#include "clients.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OBJECTS 4096u
#define PROGRAM_MAPS 64u

static uint32_t pinned_id(const char *pins, const char *name)
{
	char path[320];
	int fd = path_join(path, sizeof(path), pins, name) ? -1 : bpf_obj_get(path);
	uint32_t id = map_id(fd);

	if (fd >= 0)
		close(fd);
	return id;
}

static bool link_get(const char *folder, const char *name, struct bpf_link_info *ret_info)
{
	uint32_t size = sizeof(*ret_info);
	char path[320];
	int fd = path_join(path, sizeof(path), folder, name) ? -1 : bpf_obj_get(path);
	bool is_got;

	memset(ret_info, 0, sizeof(*ret_info));
	is_got = fd >= 0 && !bpf_obj_get_info_by_fd(fd, ret_info, &size);
	if (fd >= 0)
		close(fd);
	return is_got;
}

static int not_dots(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* --- list --- */

static void link_print(const char *name, const struct bpf_link_info *link, uint32_t owner)
{
	int fd = bpf_prog_get_fd_by_id(link->prog_id);
	struct bpf_prog_info program = {};
	uint32_t size = sizeof(program);

	/* tcx and xdp both begin with the interface's index: 0 when it has gone. */
	printf("%s type %u at %u", name, link->type, link->xdp.ifindex);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &program, &size)) {
		puts(" no program");
	} else {
		printf(" %s ", program.name);
		for (size_t i = 0; i < sizeof(program.tag); i++)
			printf("%02x", program.tag[i]);
		puts(program_is_ours(link->prog_id, owner) ? " pinned maps" : " other maps");
	}
	if (fd >= 0)
		close(fd);
}

static int list(const char *pins)
{
	uint32_t owner = pinned_id(pins, map_names[MAP_VERDICTS]);
	struct bpf_link_info link;
	struct dirent **entries;
	char folder[320];
	int count;

	if (path_join(folder, sizeof(folder), pins, "links"))
		return -ENAMETOOLONG;
	count = scandir(folder, &entries, not_dots, alphasort);
	for (int i = 0; i < count; i++) {
		if (link_get(folder, entries[i]->d_name, &link))
			link_print(entries[i]->d_name, &link, owner);
		else
			printf("%s is no link\n", entries[i]->d_name);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return 0;
}

/* --- send --- */

/* Checksums are left 0: the door updates them and never checks. */
static void syn_build(const struct kernel_connection *c, uint8_t frame[static 64])
{
	uint16_t ports[2] = { htons(c->source_port), htons(c->destination_port) };
	uint8_t *ip = frame + ETH_HLEN, *tcp = ip + 20;

	memset(frame, 0, 64);
	frame[12] = 0x08;
	ip[0] = 0x45, ip[3] = 40, ip[8] = 64, ip[9] = IPPROTO_TCP;
	memcpy(ip + 12, c->source.bytes, 4);
	memcpy(ip + 16, c->destination.bytes, 4);
	memcpy(tcp, ports, 4);
	tcp[12] = 5 << 4, tcp[13] = 2;
}

/* Where the frame goes and that it is still one; a refusal goes back to the client. */
static bool syn_is_right(const struct kernel *kernel, const struct kernel_connection *c,
			 const struct kernel_explain *found, const uint8_t *out)
{
	const struct sl_endpoint *endpoint = kernel_endpoint(kernel, found->endpoint);
	const uint8_t *ip = out + ETH_HLEN;

	if (!found->is_ours)
		return !memcmp(ip + 16, c->destination.bytes, 4);
	if (found->is_refused)
		return !memcmp(ip + 16, c->source.bytes, 4);
	return endpoint && !memcmp(ip + 16, &endpoint->addr[3], 4) &&
	       !memcmp(ip + 12, c->source.bytes, 4);
}

static int syn_send(const struct kernel *kernel, int program, const struct kernel_connection *c)
{
	struct __sk_buff skb = { .ifindex = 1 };
	struct kernel_explain found;
	uint8_t frame[64], out[512];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = 54, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &skb, .ctx_size_in = sizeof(skb),
		    .repeat = 1);
	int err = kernel_explain(kernel, c, &found);

	syn_build(c, frame);
	if (!err)
		err = bpf_prog_test_run_opts(program, &opts) ? -errno : 0;
	if (err)
		return err;
	if (syn_is_right(kernel, c, &found, out) && opts.retval != TC_ACT_SHOT)
		return 0;
	printf("a SYN from port %u leaves the door for %u.%u.%u.%u (%u): not as the tables say\n",
	       c->source_port, out[30], out[31], out[32], out[33], opts.retval);
	return -EBADMSG;
}

static int door_send(const struct kernel *kernel, int program, char **vips)
{
	int err = 0;

	for (; *vips && !err; vips++) {
		for (unsigned i = 0; i < CLIENTS && !err; i++) {
			struct kernel_connection connection;

			err = client_connection(*vips, i, &connection);
			if (!err)
				err = syn_send(kernel, program, &connection);
		}
	}
	return err;
}

/* What is pinned, where the doors are filters: bpf_obj_get has no word for those. */
static int send_pinned(const struct kernel *kernel, char **vips)
{
	int program = program_get(kernel, "prog_tc_in"), err;

	if (program < 0)
		return program;
	err = door_send(kernel, program, vips);
	close(program);
	return err;
}

static int send_all(const struct kernel *kernel, char **vips)
{
	struct bpf_link_info link;
	struct dirent **entries;
	char folder[320];
	int count, sent = 0, err = 0;

	if (path_join(folder, sizeof(folder), kernel->base_dir, "links"))
		return -ENAMETOOLONG;
	count = scandir(folder, &entries, not_dots, alphasort);
	for (int i = 0; i < count; i++) {
		const char *suffix = strchr(entries[i]->d_name, '_');

		if (!err && suffix && !strcmp(suffix, "_in") &&
		    link_get(folder, entries[i]->d_name, &link)) {
			int program = bpf_prog_get_fd_by_id(link.prog_id);

			err = program < 0 ? -errno : door_send(kernel, program, vips);
			if (program >= 0)
				close(program);
			sent++;
		}
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return err || sent ? err : send_pinned(kernel, vips);
}

/* --- left --- */

struct objects {
	uint32_t id[OBJECTS], count;
};

static bool objects_have(const struct objects *objects, uint32_t id)
{
	for (uint32_t i = 0; i < objects->count; i++)
		if (objects->id[i] == id)
			return true;
	return false;
}

static void objects_add(struct objects *objects, uint32_t id)
{
	if (objects->count < OBJECTS && !objects_have(objects, id))
		objects->id[objects->count++] = id;
}

/* Others on this machine may have maps of the same names: the seed tells ours. */
static bool is_control(uint32_t id, const __u64 seed[2])
{
	uint8_t value[256];
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info), zero = 0;
	int fd = bpf_map_get_fd_by_id(id);
	bool is_it;

	is_it = fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) &&
		!strcmp(info.name, "sl_control") && info.value_size <= sizeof(value) &&
		!bpf_map_lookup_elem(fd, &zero, value) &&
		!memcmp(value + offsetof(struct sl_control, seed), seed, 2 * sizeof(*seed));
	if (fd >= 0)
		close(fd);
	return is_it;
}

/* One that reads a map of ours is ours, and so are all that it reads. */
static void program_count(uint32_t id, struct objects *maps, struct objects *programs)
{
	uint32_t list[PROGRAM_MAPS], size = sizeof(struct bpf_prog_info);
	struct bpf_prog_info info = { .nr_map_ids = PROGRAM_MAPS, .map_ids = (uintptr_t)list };
	int fd = bpf_prog_get_fd_by_id(id);
	bool is_ours = false;

	if (fd < 0)
		return;
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		info.nr_map_ids = 0;
	for (uint32_t i = 0; i < info.nr_map_ids && i < PROGRAM_MAPS; i++)
		is_ours = is_ours || objects_have(maps, list[i]);
	for (uint32_t i = 0; is_ours && i < info.nr_map_ids && i < PROGRAM_MAPS; i++)
		objects_add(maps, list[i]);
	if (is_ours)
		objects_add(programs, id);
	close(fd);
}

static uint32_t links_count(const struct objects *programs)
{
	uint32_t id = 0, count = 0;

	while (!bpf_link_get_next_id(id, &id)) {
		struct bpf_link_info info = {};
		uint32_t size = sizeof(info);
		int fd = bpf_link_get_fd_by_id(id);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size))
			count += objects_have(programs, info.prog_id);
		if (fd >= 0)
			close(fd);
	}
	return count;
}

static int left(const char *text)
{
	static struct objects maps, programs;
	__u64 seed[2];
	uint32_t id = 0;

	if (sscanf(text, "%16llx%16llx", &seed[0], &seed[1]) != 2)
		return -EINVAL;
	while (!bpf_map_get_next_id(id, &id))
		if (is_control(id, seed))
			objects_add(&maps, id);
	/* Twice, because not every program reads what tells the seed. */
	for (int round = 0; round < 2; round++)
		for (id = 0; !bpf_prog_get_next_id(id, &id);)
			program_count(id, &maps, &programs);
	printf("%u maps, %u programs, %u links\n", maps.count, programs.count,
	       links_count(&programs));
	return 0;
}

int main(int argc, char **argv)
{
	struct kernel *kernel = NULL;
	int err = -EINVAL;

	if (argc == 3 && !strcmp(argv[1], "list"))
		err = list(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "left"))
		err = left(argv[2]);
	if (argc >= 3 && !strcmp(argv[1], "send")) {
		err = kernel_open(argv[2], &kernel);
		if (!err)
			err = send_all(kernel, argv + 3);
		kernel_close(kernel);
	}
	if (err)
		fprintf(stderr, "doors: %s: %s\n", argc > 1 ? argv[1] : "?", strerror(-err));
	return err ? 1 : 0;
}
