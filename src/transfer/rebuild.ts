import type { By } from "../auth/principal.ts";
import { messageOf, within } from "../durable/deadline.ts";
import { specVaultOf, vaultOf } from "../durable/stubs.ts";
import type { Epoch, Generation, TenantId } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import type { Committed, RebuildPage, VaultApi } from "../vault/types.ts";
import { granted, told } from "./bring-in.ts";

/** One page of a rebuild, in ms: the vault ends it after a few seconds. */
const PAGE_MS = 120_000;

export interface Rebuilt {
  restored: Generation[];
  /** What could not be brought back, and why. */
  problems: string[];
  head: Committed;
}

/**
 * Makes a tenant's vault anew from what R2 has, under an epoch of the tenant's that nobody ever wrote under, while
 * nothing else is done with it. What broke off the vault goes on with by itself (src/vault/fsck/rebuild.ts); it may be begun anew as
 * well: it takes nothing from R2.
 */
export async function rebuild(
  env: Env,
  tenantId: TenantId,
  { discard, spec }: { discard: boolean; spec: string | undefined },
  by: By,
): Promise<Outcome<Rebuilt>> {
  const source = { kind: "rebuild" as const, ...(spec === undefined ? {} : { spec }) };
  const begun = await granted(env, tenantId, { source, force: discard }, by);
  if (!begun.ok) return begun;
  const { save, deadlineAt } = begun.value;
  const vault = spec === undefined ? vaultOf(env, tenantId) : specVaultOf(env, tenantId, spec);
  const outcome = await allPages(vault, save.epoch, { discard, deadlineAt });
  const ended = await told(env, tenantId, begun.value, outcome.ok ? done(outcome.value.head) : outcome);
  return ended.ok ? outcome : ended;
}

async function allPages(
  vault: VaultApi,
  epoch: Epoch,
  { discard, deadlineAt }: { discard: boolean; deadlineAt: number },
): Promise<Outcome<Rebuilt>> {
  const restored: Generation[] = [];
  const problems: string[] = [];
  try {
    for (let after: Generation | null = null; ; ) {
      if (Date.now() > deadlineAt) return failed("deadline_exceeded", "The rebuild took longer than its deadline.");
      const page: Outcome<RebuildPage> = await within(PAGE_MS, "rebuild", vault.rebuild(epoch, { after, discard }));
      if (!page.ok) return page;
      restored.push(...page.value.restored);
      problems.push(...page.value.problems);
      after = page.value.next;
      if (after === null) break;
    }
    const { head, generations } = await within(PAGE_MS, "rebuild", vault.describe());
    const found = generations.find((one) => one.generation === head?.generation);
    if (!found) return failed("not_found", "R2 holds no generation that could be brought back whole.");
    const { generation, files, bytes, changed } = found;
    return done({ restored, problems, head: { generation, files, bytes, changed } });
  } catch (error) {
    return failed("operation_interrupted", messageOf(error));
  }
}
