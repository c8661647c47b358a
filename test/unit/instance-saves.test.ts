import { afterEach, expect, test, vi } from "vitest";
import { epoch } from "../../src/ids.ts";
import type { Life } from "../../src/instance/life.ts";
import type { BootRecord } from "../../src/instance/record.ts";
import { Saves } from "../../src/instance/saves.ts";
import { TenantStorage } from "../../src/instance/tenant-storage.ts";
import type { SaveRequest } from "../../src/instance/types.ts";
import { workloadSchema } from "../../src/registry/specs.ts";

afterEach(() => {
  vi.useRealTimers();
});

test("a save whose vault never answers ends by its deadline, and stands in no other's way", async () => {
  vi.useFakeTimers();
  const workload = workloadSchema.parse({ id: "w", image: "sandbox", volumes: { state: { containerPath: "/data" } } });
  const boot = { plan: { workload } } as BootRecord;
  const life = {
    state: "saving",
    fenced: null,
    runtime: { running: true },
    serving: () => ({ ok: true, value: boot }),
  };
  const opened = vi.fn(() => new Promise<never>(() => {}));
  const saves = new Saves({} as Env, life as unknown as Life, { open: opened } as unknown as TenantStorage);
  const request = (saveId: string): SaveRequest => ({ epoch: epoch(1), saveId, force: false, timeoutMs: 60_000 });

  const first = saves.run(request("one"));
  await vi.advanceTimersByTimeAsync(70_000);
  expect(await first).toMatchObject({ ok: false, failure: { code: "deadline_exceeded" } });
  expect(await saves.ended(0)).toBe(true);
  const second = saves.run(request("two"));
  await vi.advanceTimersByTimeAsync(1);
  expect(opened).toHaveBeenCalledTimes(2);
  await vi.advanceTimersByTimeAsync(70_000);
  expect(await second).toMatchObject({ ok: false });
});

test("the fence of a vault that never answers is given up, so that who joins the wait for it is not kept for ever", async () => {
  vi.useFakeTimers();
  const never = () => new Promise<never>(() => {});
  const env = { VAULT: { getByName: () => ({ fence: never }) } } as unknown as Env;
  const ctx = { exports: { StorageGateway: () => ({}) } } as unknown as DurableObjectState;
  const life = { holder: { tenantId: "t", epoch: epoch(1) }, runtime: { intercept: async () => {} } };
  const boot = { plan: {}, accessKeyId: "k" } as BootRecord;
  const opening = new TenantStorage(ctx, env, life as unknown as Life).open(boot, epoch(1), "assign");
  const refused = expect(opening).rejects.toThrow("assign: the fence of the vault took longer");
  await vi.advanceTimersByTimeAsync(60_000);
  await refused;
});
