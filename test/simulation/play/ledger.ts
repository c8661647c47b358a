import type { SimulatedContainer } from "../../../src/runtime/simulated/container.ts";
import { directoryText } from "../../support/directory-text.ts";
import { ROOT } from "../../support/state-directory.ts";

/** What a history knows of one tenant without asking any object: what was written, and what was promised of it. */
export interface TenantLedger {
  /** Directory → the latest time that it was so. */
  readonly at: Map<string, number>;
  /** Counts the changes of the tenant's directories. */
  changes: number;
  /** Of the change that was acknowledged as saved last: nothing older may be the head. */
  acknowledged: number;
  /** Somebody asked for something that may shrink or replace the head on purpose. */
  forced: boolean;
  /** Somebody asked for an end without a save, or whatever becomes of it. */
  givenUp: boolean;
  /** Somebody allowed a fresh start. */
  mayBeFresh: boolean;
  /** Somebody asked that what was saved be deleted. */
  mayForget: boolean;
  /** Calls about it that have not ended, reads not counted. */
  asking: number;
  /** Calls about it so far, reads not counted. */
  asked: number;
  /** Of the operation in flight: how many changes there were when it began. */
  operation: { id: string; since: number } | null;
}

/** What a history knows of one container. */
export interface ContainerLedger {
  /** Whom its workload answered for. */
  readonly tenants: Set<string>;
  /** Its workload answered once. */
  answered: boolean;
  /** Something was written into it since it was claimed. */
  written: boolean;
  /** What it held when that was last looked at. */
  holds: string | null;
}

/** Everything that is known from outside. It never asks an object anything. */
export class Ledger {
  /** Nothing went wrong so far. */
  calm = true;
  readonly #tenants = new Map<string, TenantLedger>();
  readonly #containers = new Map<string, ContainerLedger>();

  tenant(id: string): TenantLedger {
    const known = this.#tenants.get(id);
    if (known) return known;
    const fresh: TenantLedger = {
      at: new Map(),
      changes: 0,
      acknowledged: 0,
      forced: false,
      givenUp: false,
      mayBeFresh: false,
      mayForget: false,
      asking: 0,
      asked: 0,
      operation: null,
    };
    this.#tenants.set(id, fresh);
    return fresh;
  }

  container(id: string): ContainerLedger {
    const known = this.#containers.get(id);
    if (known) return known;
    const fresh: ContainerLedger = { tenants: new Set(), answered: false, written: false, holds: null };
    this.#containers.set(id, fresh);
    return fresh;
  }

  /** What a tenant's container holds now is a directory that may come to be saved. */
  note(tenantId: string, containerId: string, container: SimulatedContainer): string {
    const tenant = this.tenant(tenantId);
    const text = container.files.stat(ROOT) ? directoryText(container.files, ROOT) : "";
    const known = this.container(containerId);
    if (known.holds === text && tenant.at.get(text) === tenant.changes) return text;
    known.holds = text;
    tenant.changes += 1;
    tenant.at.set(text, tenant.changes);
    return text;
  }

  /** Whoever asks now is told, at best, of what there is now, or of what there was when the operation that it joins began. */
  promise(tenantId: string): number {
    const { operation, changes } = this.tenant(tenantId);
    return operation?.since ?? changes;
  }

  acknowledge(tenantId: string, promised: number): void {
    const tenant = this.tenant(tenantId);
    tenant.acknowledged = Math.max(tenant.acknowledged, promised);
  }
}
