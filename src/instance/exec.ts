import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import { Capture } from "../runtime/capture.ts";
import { failedBy } from "../runtime/failure.ts";
import type { ContainerRuntime } from "../runtime/port.ts";
import { redactText } from "../secrets/redact.ts";
import type { BootRecord } from "./record.ts";
import type { InstanceState } from "./types.ts";

export interface ExecRequest {
  /** Program and arguments; no shell reads them. */
  command: string[];
  stdin?: string;
  timeoutMs: number;
}

export interface ExecAnswer {
  /** 128 and the signal's number for one that was killed. */
  exitCode: number;
  stdout: string;
  stderr: string;
  durationMs: number;
  /** More was printed than is shown. */
  truncated?: true;
}

/** Bytes of each stream that are kept. */
export const MAX_OUTPUT = 1_048_576;
/** Commands of one container at a time. */
export const EXECS_AT_ONCE = 4;
/** What the redactor takes in one piece. */
const PIECE = 64_000;

/** Why no command runs in a container in this state; null where one does. Pure. */
export const commandsRefused = (state: InstanceState): Failure | null =>
  state === "warm" || state === "assigned"
    ? null
    : { code: "invalid_transition", detail: `The container is ${state}; commands run in warm and assigned ones.` };

/** Commands in a container, as its workload's user, never as root. What they print is shown without secrets. */
export class Commands {
  readonly #runtime: ContainerRuntime;
  #running = 0;

  constructor(runtime: ContainerRuntime) {
    this.#runtime = runtime;
  }

  /** Failure: `deadline_exceeded` with what was printed until then, `rate_limited`, `container_unavailable`, `operation_interrupted`. */
  async run({ plan }: BootRecord, request: ExecRequest): Promise<Outcome<ExecAnswer>> {
    if (this.#running >= EXECS_AT_ONCE) {
      return failed("rate_limited", `${EXECS_AT_ONCE} commands run in this container already.`, {
        retryAfterMs: 1_000,
      });
    }
    const { command, stdin, timeoutMs } = request;
    const capture = new Capture(MAX_OUTPUT);
    const began = Date.now();
    this.#running += 1;
    try {
      const user = plan.workload.user ?? "workload";
      const options = { timeoutMs, user, capture, ...(stdin === undefined ? {} : { stdin }) };
      const { exitCode } = await this.#runtime.exec(command, options);
      return done({ exitCode, ...printed(capture), durationMs: Date.now() - began });
    } catch (error) {
      const { failure } = failedBy(error, "exec");
      if (failure.code !== "deadline_exceeded") return { ok: false, failure };
      const extra = { ...printed(capture), durationMs: Date.now() - began };
      return failed("deadline_exceeded", `The command did not end within ${timeoutMs} ms and was killed.`, { extra });
    } finally {
      this.#running -= 1;
    }
  }
}

const printed = ({ stdout, stderr }: Capture) => ({
  stdout: withoutSecrets(new TextDecoder().decode(stdout.bytes)),
  stderr: withoutSecrets(new TextDecoder().decode(stderr.bytes)),
  ...(stdout.truncated || stderr.truncated ? { truncated: true as const } : {}),
});

/** The redactor's word on a text of any length, piece by piece; pieces end with lines, and never inside a private key. */
export function withoutSecrets(text: string): string {
  let safe = "";
  for (let at = 0; at < text.length; ) {
    const end = pieceEnd(text, at);
    safe += redactText(text.slice(at, end));
    at = end;
  }
  return safe;
}

function pieceEnd(text: string, at: number): number {
  const limit = at + PIECE;
  if (limit >= text.length) return text.length;
  const line = text.lastIndexOf("\n", limit - 1) + 1;
  const end = line > at ? line : limit;
  const key = text.lastIndexOf("-----BEGIN", end - 1);
  return key > at && text.indexOf("-----END", key) >= end ? key : end;
}
