import type { Epoch } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import type { OpenRequests } from "../proxy/open-requests.ts";
import { Inside } from "./inside.ts";
import type { Life } from "./life.ts";
import type { BootRecord } from "./record.ts";
import type { Saves } from "./saves.ts";
import { restartWorkload, startWorkload } from "./start.ts";
import type { TenantStorage } from "./tenant-storage.ts";
import type { Watch } from "./watch.ts";

/** How long a resumption waits for the end of a save under way. */
const SAVE_PATIENCE_MS = 10_000;

/** The workload of a container that serves is started again in it, on the files that it has. */
export class Restarting {
  readonly #life: Life;
  readonly #storage: TenantStorage;
  readonly #saves: Saves;
  readonly #watch: Watch;
  readonly #open: OpenRequests;

  constructor(life: Life, parts: { storage: TenantStorage; saves: Saves; watch: Watch; open: OpenRequests }) {
    this.#life = life;
    this.#storage = parts.storage;
    this.#saves = parts.saves;
    this.#watch = parts.watch;
    this.#open = parts.open;
  }

  /** After a release that was called off, under a new epoch. */
  async resume(epoch: Epoch): Promise<Outcome<null>> {
    const serving = this.#life.serving(epoch);
    if (!serving.ok) return serving;
    const boot = serving.value;
    if (this.#life.state === "assigned" && this.#life.fenced === epoch) return done(null); // the answer got lost
    if (boot.plan.workload.volumes.state) {
      const fenced = await this.#storage.open(boot, epoch, "resume");
      if (!fenced.ok) return fenced;
    }
    // Fenced off, a save under way cannot commit any more, but it may still stop what is started now.
    if (!(await this.#saves.ended(SAVE_PATIENCE_MS))) {
      return failed("operation_interrupted", "A save of this container has not ended yet.");
    }
    const started = await this.#afresh(boot, startWorkload);
    if (!started.ok) return started;
    this.#life.move("reopen");
    return done(null);
  }

  /** Because somebody asked for it. */
  async restart(epoch: Epoch): Promise<Outcome<null>> {
    const serving = this.#life.serving(epoch);
    if (!serving.ok) return serving;
    const boot = serving.value;
    if (this.#life.state !== "assigned") return failed("invalid_transition", `The container is ${this.#life.state}.`);
    this.#open.closeSockets();
    return this.#afresh(boot, restartWorkload);
  }

  async #afresh(boot: BootRecord, start: typeof startWorkload): Promise<Outcome<null>> {
    this.#watch.workloadStarts();
    const started = await start(new Inside(this.#life.runtime, boot), boot.plan.startTimeoutMs, this.#watch.ended);
    if (started.ok) this.#watch.workloadAnswered();
    return started;
  }
}
