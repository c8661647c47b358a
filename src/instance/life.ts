import type { Epoch, TenantId } from "../ids.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import type { ContainerRuntime } from "../runtime/port.ts";
import type { Activity } from "./activity.ts";
import type { Holder } from "./holder.ts";
import { after, type InstanceTransition } from "./lifecycle.ts";
import type { BootRecord } from "./record.ts";
import type { ContainerEnd, InstanceState } from "./types.ts";

/** One container as its Instance has it in memory: where it is in its life, and whom it serves. */
export class Life {
  readonly runtime: ContainerRuntime;
  boot: BootRecord | null;
  state: InstanceState;
  holder: Holder | null = null;
  /** What the pool says of a container whose object came back to memory before it served anyone. */
  leasedTo: Holder | null = null;
  /** The epoch for which this life of the object opened the tenant's storage. */
  fenced: Epoch | null = null;
  /** What is known of its end; also of one that hangs. */
  end: ContainerEnd | null = null;
  /** Somebody told the container to end: what comes of that is no accident. */
  told = false;
  retired = false;
  readonly #activity: Activity;

  constructor(runtime: ContainerRuntime, boot: BootRecord | null, activity: Activity) {
    this.runtime = runtime;
    this.boot = boot;
    this.#activity = activity;
    this.state = boot ? "starting" : "gone";
  }

  /** False where the event is illegal; nothing changes then. */
  move(event: InstanceTransition): boolean {
    const next = after(this.state, event);
    if (next === null) return false;
    this.state = next;
    return true;
  }

  /** Somebody uses the container. */
  touch(): void {
    // What is retired stores nothing any more: its storage is erased.
    if (this.boot && !this.retired) this.#activity.note(Date.now());
  }

  /** It serves somebody since then (ms since 1970). */
  assignedAt(since: number): void {
    this.#activity.assigned(since);
  }

  /** ms since 1970. */
  get lastActivityAt(): number {
    return this.#activity.at;
  }

  isServing(tenantId: TenantId, epoch: Epoch): boolean {
    return this.state === "assigned" && this.holder?.tenantId === tenantId && this.holder.epoch === epoch;
  }

  /**
   * Why this container does nothing for an epoch. A later one than it knows is its tenant's newer word for the same
   * container, of which an answer or a call got lost. One that is gone says so: whoever asks would otherwise wait for it for ever.
   */
  notCurrent(epoch: Epoch): { ok: false; failure: Failure } | null {
    if (this.holder && epoch > this.holder.epoch) this.holder = { ...this.holder, epoch };
    if (this.holder?.epoch === epoch) return null;
    if (!this.boot || !this.runtime.running) return failed("container_unavailable", "The container is gone.");
    return failed("stale_epoch", `The container does not serve epoch ${epoch}.`);
  }

  /** How the running container was started. */
  running(): Outcome<BootRecord> {
    if (!this.boot || !this.runtime.running) return failed("container_unavailable", "The container is not running.");
    return done(this.boot);
  }

  /** The same, for an epoch that it serves. */
  serving(epoch: Epoch): Outcome<BootRecord> {
    return this.notCurrent(epoch) ?? this.running();
  }
}
