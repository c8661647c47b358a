import { done, failed, type Outcome } from "../outcome.ts";
import { Commands } from "./exec.ts";
import type { Inside } from "./inside.ts";
import type { SaveRequest } from "./types.ts";

/** A hook that takes longer is ended; the save needs the rest of its time. */
const LONGEST_MS = 60_000;
/** Characters of what it printed that a failure shows: the end, where a command says what went wrong. */
const SHOWN = 2_000;

/**
 * Runs the workload's `preSave` as the workload's user, while the workload runs. One that was stopped for this save
 * already has had its hook. Failure: `save_failed`, which is tried again; a forced save goes on without it.
 */
export async function preSave(inside: Inside, request: SaveRequest): Promise<Outcome<null>> {
  const command = inside.boot.plan.workload.preSave;
  if (!command) return done(null);
  if (!request.live) {
    const status = await inside.control.status();
    if (!status.ok) return status;
    if (status.value.workload === "stopped") return done(null);
  }
  const timeoutMs = Math.min(LONGEST_MS, Math.ceil(request.timeoutMs / 2));
  const ran = await new Commands(inside.runtime).run(inside.boot, { command, timeoutMs });
  if (request.force || (ran.ok && ran.value.exitCode === 0)) return done(null);
  if (!ran.ok && ran.failure.code !== "deadline_exceeded") return ran;
  const { stdout, stderr } = ran.ok ? ran.value : printedIn(ran.failure.extra);
  const output = `${stdout}${stderr}`.slice(-SHOWN);
  const exitCode = ran.ok ? ran.value.exitCode : null;
  const how = exitCode === null ? `did not end within ${timeoutMs} ms` : `ended with ${exitCode}`;
  return failed("save_failed", `preSave ${how}: ${output.trim() || "it printed nothing"}`, {
    extra: { preSave: { exitCode, output } },
  });
}

const printedIn = (extra: Record<string, unknown> = {}): { stdout: string; stderr: string } => ({
  stdout: String(extra.stdout ?? ""),
  stderr: String(extra.stderr ?? ""),
});
