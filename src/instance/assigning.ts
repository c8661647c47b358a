import { messageOf } from "../durable/deadline.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { holderOf } from "./holder.ts";
import { Inside } from "./inside.ts";
import type { Life } from "./life.ts";
import { provision } from "./provision.ts";
import type { BootRecord } from "./record.ts";
import type { SpecSyncs } from "./spec-syncs.ts";
import type { TenantStorage } from "./tenant-storage.ts";
import type { Assigned, Assignment, SpecRun } from "./types.ts";
import type { Watch } from "./watch.ts";

/** The one assignment of a container; the same again answers what is recorded. */
export class Assigning {
  readonly #env: Env;
  readonly #life: Life;
  readonly #storage: TenantStorage;
  readonly #syncs: SpecSyncs;
  readonly #watch: Watch;
  #underWay: Promise<Outcome<Assigned>> | null = null;

  constructor(env: Env, life: Life, parts: { storage: TenantStorage; syncs: SpecSyncs; watch: Watch }) {
    this.#env = env;
    this.#life = life;
    this.#storage = parts.storage;
    this.#syncs = parts.syncs;
    this.#watch = parts.watch;
  }

  async run(assignment: Assignment): Promise<Outcome<Assigned>> {
    const { tenantId, epoch } = assignment;
    const life = this.#life;
    const known = life.holder ?? life.leasedTo;
    if (known && (known.tenantId !== tenantId || epoch < known.epoch)) {
      return failed("stale_epoch", "The container serves another assignment.");
    }
    if (life.holder?.epoch === epoch) {
      if (this.#underWay) return this.#underWay;
      if (life.holder.assigned) return done(life.holder.assigned);
    }
    const { boot } = life;
    if (!boot || !life.runtime.running || life.end || !life.move("assign")) {
      return failed("container_unavailable", life.end?.detail ?? `The container is ${life.state}.`);
    }
    life.holder = holderOf(this.#env, tenantId, epoch, assignment.gateway);
    this.#underWay = this.#provision(boot, assignment).finally(() => {
      this.#underWay = null;
    });
    return this.#underWay;
  }

  async #provision(boot: BootRecord, assignment: Assignment): Promise<Outcome<Assigned>> {
    const life = this.#life;
    const { start } = boot.plan.workload;
    const open = () => this.#storage.open(boot, assignment.epoch, "assign");
    const fetch = (runs: SpecRun[]) => this.#syncs.restore(boot, runs);
    const { ended } = this.#watch;
    const token = life.holder?.gatewayToken;
    if (start === "on-claim") this.#watch.workloadStarts();
    const inside = new Inside(life.runtime, boot);
    const outcome = await provision(inside, assignment, token, { open, fetch, ended }).catch((error) =>
      failed("operation_interrupted", messageOf(error)),
    );
    if (!outcome.ok) {
      life.move("failed");
      return outcome;
    }
    if (!life.move("assigned")) {
      return failed("container_unavailable", "The container was retired while it was assigned.");
    }
    const { tenantId, epoch } = assignment;
    life.holder = {
      tenantId,
      epoch,
      ...(token === undefined ? {} : { gatewayToken: token }),
      assigned: outcome.value,
    };
    life.assignedAt(Date.now());
    if (start === "on-claim") this.#watch.workloadAnswered();
    return outcome;
  }
}
