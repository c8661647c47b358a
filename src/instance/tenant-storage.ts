import { within } from "../durable/deadline.ts";
import { vaultOf } from "../durable/stubs.ts";
import type { Epoch, TenantId } from "../ids.ts";
import { failed, type Outcome } from "../outcome.ts";
import { sha256 } from "../sha256.ts";
import type { GenerationSummary } from "../vault/types.ts";
import type { Life } from "./life.ts";
import type { BootRecord } from "./record.ts";

/** For a Vault that takes up its index first. Who waits for it joins the same wait, which must have an end of its own. */
const OPEN_MS = 60_000;

/** What a container reaches: through intercepts only, of its tenant's storage for one tenant and one epoch. */
export class TenantStorage {
  readonly #ctx: DurableObjectState;
  readonly #env: Env;
  readonly #life: Life;

  constructor(ctx: DurableObjectState, env: Env, life: Life) {
    this.#ctx = ctx;
    this.#env = env;
    this.#life = life;
  }

  /** Registers the tenant's storage with the container and fences it against every older epoch, side by side. @throws DeadlineError; it may still happen then, and may be asked for again */
  async open(
    boot: BootRecord,
    epoch: Epoch,
    why: "assign" | "resume" | "save",
  ): Promise<Outcome<{ head: GenerationSummary | null }>> {
    const tenantId = this.#life.holder?.tenantId as TenantId;
    const opened = Promise.all([
      vaultOf(this.#env, tenantId).fence(epoch, boot.plan.containerId),
      this.intercept(boot, tenantId, epoch),
    ]);
    const [fenced] = await within(OPEN_MS, `${why}: the fence of the vault`, opened);
    if (fenced.ok) this.#life.fenced = epoch;
    return fenced.ok ? fenced : failed(fenced.failure.code, `${why}: ${fenced.failure.detail}`);
  }

  async intercept(boot: BootRecord, tenantId: TenantId, epoch: Epoch): Promise<void> {
    const { containerId, poolId } = boot.plan;
    const props = { tenantId, epoch, incarnation: containerId, accessKeyId: boot.accessKeyId, poolId };
    await this.#life.runtime.intercept("sink.internal", this.#ctx.exports.StorageGateway({ props }));
  }

  /** What any container reaches from its start on: the host where its root reports. */
  async control(boot: BootRecord): Promise<void> {
    const props = { containerId: boot.plan.containerId, bootKeyHash: sha256(boot.bootKey) };
    await this.#life.runtime.intercept("control.internal", this.#ctx.exports.ControlGateway({ props }));
  }
}
