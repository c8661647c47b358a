import { those, type Violation, violation } from "./violation.ts";

/** Rules about what a vault shows as saved. Pure; directories are texts, as test/support/vault-audit.ts makes them. */

export interface SeenGeneration {
  generation: number;
  status: string;
  saveId: string;
  epoch: number;
  incarnation: string;
  files: number;
  bytes: number;
}

export interface SeenVault {
  tenantId: string;
  epoch: number;
  head: number;
  generations: readonly SeenGeneration[];
}

/** What is known of a tenant's directories by whoever wrote into them. */
export interface Known {
  /** Directory → the latest time that it was so, counted up with every change. */
  at: ReadonlyMap<string, number>;
  /** Nothing older than this may be the head. */
  acknowledged: number;
  /** Somebody asked for force, or moved the head on purpose, since the head before came to be. */
  forced: boolean;
}

/** I5, P-SAVE: of a head. `text` is null where it could not be read whole, which `whole` says. */
export function head(vault: SeenVault, text: string | null, known: Known): Violation[] {
  if (vault.head === 0) {
    return those(
      known.acknowledged > 0 && violation("saved", `${vault.tenantId} has no head, and something was acknowledged`),
    );
  }
  if (text === null) return [];
  const at = known.at.get(text);
  if (at === undefined) {
    return [
      violation("saved", `generation ${vault.head} of ${vault.tenantId} is a directory that never was:\n${text}`),
    ];
  }
  return those(
    at < known.acknowledged &&
      violation(
        "saved",
        `the head ${vault.head} of ${vault.tenantId} is change ${at}, and ${known.acknowledged} was acknowledged`,
      ),
  );
}

/** I8, P-FENCE: a generation is made by whoever the vault is bound to. `highest`: the highest epoch that was ever seen there. */
export function committed(vault: SeenVault, made: SeenGeneration, highest: number): Violation[] {
  return those(
    made.epoch < highest &&
      violation(
        "fence",
        `generation ${made.generation} of ${vault.tenantId} was saved under epoch ${made.epoch} after ${highest}`,
      ),
    vault.epoch < highest &&
      violation("fence", `the vault of ${vault.tenantId} went back from epoch ${highest} to ${vault.epoch}`),
  );
}

/** P-GUARD: from one head to the next. */
export function guarded(
  vault: SeenVault,
  before: SeenGeneration | null,
  after: SeenGeneration,
  known: Known,
): Violation[] {
  if (before === null || known.forced) return [];
  const lost = after.files * 2 < before.files || after.bytes * 2 < before.bytes;
  const was = `${before.files} files of ${before.bytes} bytes`;
  const is = `${after.files} of ${after.bytes}`;
  return those(
    lost &&
      violation(
        "guard",
        `the head ${after.generation} of ${vault.tenantId} has ${is} after ${was}, and nobody forced it`,
      ),
  );
}

/** P-SAVE: how a tenant let go of a container that held `holds`, when `saved` was the head. */
export interface Left {
  tenantId: string;
  containerId: string;
  holds: string;
  saved: string | null;
  /** What the tenant's record says since. */
  says: { unsavedSince: number | null; lastLossOf: string | null };
  /** What a guard refused is kept aside. */
  keptAside: boolean;
}

export function left({ tenantId, containerId, holds, saved, says, keptAside }: Left): Violation[] {
  if (holds === saved || keptAside) return [];
  const said = says.unsavedSince !== null || says.lastLossOf === containerId;
  return those(!said && violation("unsaved", `${tenantId} left ${containerId} without a save, and does not say so`));
}

/** P-SAVE: a loss that a record speaks of needs a reason. `calm`: nothing went wrong so far, and nobody gave anything up. */
export const lostCalmly = (tenantId: string, loss: string | null, calm: boolean): Violation[] =>
  those(calm && loss !== null && violation("lost", `${tenantId} lost what ${loss} held, and nothing went wrong`));
