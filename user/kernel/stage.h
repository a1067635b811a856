/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A revision on its way into the kernel: first everything is found room for, in memory alone, then
 * written. So a plan that does not fit changes nothing.
 */
#pragma once
#include "internal.h"

struct stage_table {
	const uint8_t *ordinals; /* content, for finding an equal one */
	uint32_t base, size;     /* groups, slots */
	bool is_new;
};

struct stage_endpoint {
	uint32_t index; /* that it will have */
	struct sl_endpoint value;
};

struct stage_vip {
	uint32_t index;
	struct sl_vip value;
};

struct stage {
	struct kernel *kernel;
	const struct plan *plan;
	struct diags *diags;
	struct arena slots, members, rules, rings;
	struct stage_table *tables; /* every distinct table, of hot revisions and new */
	size_t table_count;
	struct index *version_index;     /* packed key -> index */
	struct index *endpoint_index;    /* address, port and version -> index */
	struct index *table_index;       /* weights -> base of their table */
	struct index *vip_index;         /* address, port and protocol -> index */
	struct sl_version *new_versions; /* by index; key[0] 0: as it is in the kernel */
	struct stage_endpoint *new_endpoints;
	size_t new_endpoint_count;
	struct stage_vip *new_vips;
	size_t new_vip_count;
	uint32_t *version_at;    /* plan version -> kernel index */
	uint64_t *ring_at;       /* plan version -> packed ring */
	uint32_t **ring_words;   /* plan version -> words to write, NULL: the ring stays */
	struct sl_split *splits; /* plan split -> kernel split */
	uint32_t **members_of;   /* plan split -> its members, for writing */
	uint32_t next_version, next_endpoint, next_vip;
	uint32_t shares;    /* of room that it may use; 0: it has looked itself */
	uint32_t began[3];  /* where its cursors stood */
	bool is_comparison; /* nothing will be written: no places are taken, which may be none */
	bool has_orphans;   /* services of no revision: whoever wrote or removed them was killed */
};

/* The key as the versions map holds it: whole, or shortened with a hash of the whole. */
void version_key_pack(const char *key, char ret_key[SL_VERSION_KEY_MAX]);

/* Knows nothing of the kernel yet. */
int stage_new(void *parent, struct kernel *kernel, const struct plan *plan, struct diags *diags,
	      struct stage **ret_stage);
enum stage_reach {
	STAGE_ALL,     /* reads which places hot revisions and versions use */
	STAGE_ROOM,    /* versions, and what is noted as free; -EAGAIN where nothing is */
	STAGE_MEMBERS, /* versions: for their endpoints and rings alone */
};
int stage_open(void *parent, struct kernel *kernel, const struct plan *plan, struct diags *diags,
	       enum stage_reach reach, struct stage **ret_stage);
/*
 * Versions, endpoints and rings that the plan names: find room. With known_only, versions that the
 * kernel does not have are left out.
 */
int stage_members(struct stage *stage, bool known_only);
/* -ENOSPC, and the option that helps: how much the plan needs is counted. (need.c) */
int stage_full(const struct stage *stage, enum map_id id);
/* The same where the maps would be too small for the plan even if nothing else were in them. */
int plan_alone_fits(const struct kernel *kernel, const struct plan *plan, struct diags *diags);
/* A split of a hot revision: its places are taken, its table may serve again. */
int stage_split_use(struct stage *stage, const struct sl_split *split);
int stage_service_use(struct stage *stage, const struct sl_service *service);
/* Split tables. */
int stage_splits(struct stage *stage);
/* Where they will be written is mapped. */
int stage_reach_splits(struct stage *stage);
/* VIPs that the kernel has. */
int stage_index_vips(struct stage *stage);
/* The index of a service's VIP, port and protocol; finds room for it. */
int stage_vip(struct stage *stage, const struct plan_service *service, uint32_t *ret_index);
/* Writes VIPs: before any service that names them. */
void stage_write_vips(struct stage *stage);
/* Writes endpoints and rings, then the one store a version. */
int stage_write_members(struct stage *stage);
int stage_write_splits(struct stage *stage);

/* --- tables.c, for the audit too --- */
/* The services map's value; its VIP and rules find room. */
int service_stage(struct stage *stage, const struct plan_service *service,
		  struct sl_service *ret_service);
void service_write_rules(struct stage *stage, const struct plan_service *service,
			 const struct sl_service *value);
int services_put(const struct kernel *kernel, const struct sl_service_key *keys,
		 const struct sl_service *values, uint32_t count);
/* The directory's entry, the last thing that is written of a revision. */
void revision_put(struct kernel *kernel, uint32_t revision, uint32_t services,
		  const uint8_t digest[32]);
void rule_fill(const struct prefix *source, const struct sl_split *split, struct sl_rule *ret_rule);
void service_key_fill(const struct plan_service *service, uint32_t revision,
		      struct sl_service_key *ret_key);

/* --- room.c: what is free is noted in shares of so many tables, and members and rules --- */
#define SHARE_TABLES 2u
#define SHARE_PLACES 64u
/* How much is noted as free; 0: nobody knows. */
uint32_t room_shares(const struct kernel *kernel);
/* From here on nothing is known of what is free: whoever dies now has told nobody anything. */
void room_forget(struct kernel *kernel);
/* Places are taken from what is noted as free alone; -EAGAIN where nothing is. */
int room_open(struct stage *stage);
/* Tables of what the plan's services were in newer revisions: weights that come back find theirs.
 */
int room_offer(struct stage *stage);
/* Did that suffice? */
bool room_is_kept(const struct stage *stage);
/* What is free after the stage, which has been written. */
void room_note(struct stage *stage);
