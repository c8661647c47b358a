import { ROOT } from "../paths.ts";

/** Where a mistake would cost somebody their container or their files, by what the code there is for. Globs. */
export const AREAS: Readonly<Record<string, readonly string[]>> = {
  proxy: ["src/proxy/**/*.ts", "src/instance/proxy.ts"],
  alarm: [
    ...of("src/durable", "alarm", "cadence", "deadline"),
    ...of("src/tenant", "alarms", "alerts", "ends", "lost-record", "rebuild", "schedule", "stranded", "upkeep"),
    ...of("src/tenant", "plan-observed", "plan-recover", "plan-stale", "plan-tick"),
    ...of("src/pool", "alerts", "breaker", "containers", "recovery", "schedule", "upkeep"),
    ...of("src/pool", "plan-reconcile", "plan-size"),
    ...of("src/fleet", "census", "leases"),
    ...of("src/instance", "ending", "health", "health-check", "life", "probe", "settling", "upkeep", "watch"),
    ...of("src/vault", "collect", "plan-tend"),
    "src/sweep/**/*.ts",
  ],
  destroy: [
    ...of("src/tenant", "destruction", "plan-destroy"),
    ...of("src/pool", "deletion", "plan-ending"),
    ...of("src/vault", "erase", "garbage"),
  ],
  restore: [
    ...of("src/tenant", "plan-restore"),
    ...of("src/instance", "assigning", "claim-tar", "provision"),
    ...of("src/gateway/storage", "bundle-out"),
    ...of("src/vault", "history", "pages", "fsck/rebuild"),
    ...of("src/transfer", "rebuild"),
  ],
};

export const REPORTS = `${ROOT}/test/results/coverage`;

function of(folder: string, ...names: readonly string[]): string[] {
  return names.map((name) => `${folder}/${name}.ts`);
}
