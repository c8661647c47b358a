import { z } from "@hono/zod-openapi";
import { createMiddleware } from "hono/factory";
import { stateHash } from "../audit/entry.ts";
import { configOf } from "../config.ts";
import { DeadlineError, within } from "../durable/deadline.ts";
import { instanceOf, poolOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import { failed } from "../outcome.ts";
import { jsonBody } from "./body.ts";
import { knownContainer, poolIdOf } from "./container-known.ts";
import { type AppEnv, json, refusals, resource } from "./context.ts";
import { by, guarded } from "./guarded.ts";
import { ownIdParam } from "./params.ts";

const MAX_COMMAND_BYTES = 65_536;
/** What an answer may take beyond the command's own time. */
const GRACE_MS = 5_000;

const bytesOf = (text: string): number => new TextEncoder().encode(text).byteLength;
const argument = z.string().regex(/^[^\0]*$/, "must not contain NUL");

const request = z
  .strictObject({
    command: z
      .array(argument)
      .min(1)
      .max(64)
      .refine((command) => command[0] !== "", "must begin with a program")
      .refine((command) => bytesOf(command.join("")) <= MAX_COMMAND_BYTES, "must be at most 64 KiB")
      .openapi({ description: "Program and arguments; no shell reads them.", example: ["ls", "-l", "/data"] }),
    stdin: z.string().optional(),
    timeout: z.int().min(1).optional().openapi({ description: "An older word for timeoutMs." }),
    timeoutMs: z.int().min(1).optional().openapi({ description: "Default DEFAULT_EXEC_TIMEOUT_MS." }),
    user: z
      .literal("workload", { error: "commands run as the workload's user, never as another" })
      .optional()
      .openapi({ description: "The workload's user, whatever its name." }),
  })
  .openapi("ExecRequest");

const answer = z
  .object({
    exitCode: z.int(),
    stdout: z.string(),
    stderr: z.string(),
    durationMs: z.int(),
    truncated: z.literal(true).optional().openapi({ description: "More than 1 MiB of a stream was printed." }),
  })
  .openapi("ExecResult");

/** What is answered 400 by contract, before the schema says 422. */
const withinLimits = createMiddleware<AppEnv>(async (c, next) => {
  const body: unknown = await c.req.json();
  if (typeof body === "object" && body !== null && !Array.isArray(body)) {
    const { command, timeout, timeoutMs } = body as Record<string, unknown>;
    if (command === undefined || (Array.isArray(command) && command.length === 0)) {
      throw new Problem("bad_request", "There is no command.");
    }
    const { maxExecMs } = configOf(c.env).deadlines;
    for (const asked of [timeout, timeoutMs]) {
      if (typeof asked !== "number" || asked <= maxExecMs) continue;
      throw new Problem("bad_request", `The timeout is above the maximum of ${maxExecMs} ms.`);
    }
  }
  await next();
});

const exec = guarded("containers:exec", {
  method: "post",
  path: "/api/v1/containers/{id}/exec",
  summary: "Run a command in a container; an exit code other than 0 is an answer, not an error",
  tags: ["containers"],
  middleware: [knownContainer, jsonBody("required"), withinLimits],
  request: { params: ownIdParam, body: { required: true, content: { "application/json": { schema: request } } } },
  responses: { 200: json(answer, "It ended"), ...refusals },
});

export const containerExec = resource().openapi(exec, async (c) => {
  const { command, stdin, timeout, timeoutMs = timeout } = c.req.valid("json");
  const { containerId, poolId } = await poolIdOf(c.env, c.req.valid("param").id);
  const ms = timeoutMs ?? configOf(c.env).deadlines.execMs;
  const [program = ""] = command;
  const note = { containerId, program, commandHash: stateHash(command), timeoutMs: ms };
  // Recorded before it runs: what nobody recorded did not run.
  const noted = await poolOf(c.env, poolId).noteExec(note, by(c));
  if (!noted.ok) throw Problem.of(noted.failure);
  const running = instanceOf(c.env, containerId).exec({
    command,
    timeoutMs: ms,
    ...(stdin === undefined ? {} : { stdin }),
  });
  const ended = await within(ms + GRACE_MS, "exec", running).catch((error: unknown) => {
    if (error instanceof DeadlineError) return failed("deadline_exceeded", "The container did not answer in time.");
    throw error;
  });
  if (!ended.ok) throw Problem.of(ended.failure);
  return c.json(ended.value, 200);
});
