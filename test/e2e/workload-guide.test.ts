import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { command } from "../../scripts/command.ts";
import { freePort } from "../../scripts/stack/ports.ts";
import { Checkout } from "../support/e2e-checkout.ts";
import { stopShared } from "../support/e2e-stack.ts";
import { type Step, stepsOf } from "../support/guide.ts";

const PROMISED_MS = 30 * 60_000;
/** Without an engine the same steps are taken on simulated containers. */
const simulated = spawnSync("docker", ["info"], { timeout: 20_000, stdio: "ignore" }).status !== 0;

describe("docs/workloads.md", () => {
  const checkout = new Checkout();
  const at = { port: 0 };

  beforeAll(async () => {
    await stopShared();
    await checkout.make();
    at.port = await freePort();
  }, 120_000);
  afterAll(() => checkout.remove(), 60_000);

  it("brings a new image to a tenant with its files kept, step by step as it is written, in under 30 minutes", async () => {
    const startedAt = Date.now();
    const steps = stepsOf(readFileSync("docs/workloads.md", "utf8"));
    expect(steps.filter(({ kind }) => kind === "run").length).toBeGreaterThan(8);
    for (const step of steps) await take(step);
    const took = Date.now() - startedAt;
    console.log(
      `docs/workloads.md: ${steps.length} steps in ${(took / 1_000).toFixed(1)} s${simulated ? " (simulated)" : ""}`,
    );
    expect(took).toBeLessThan(PROMISED_MS);
  }, 600_000);

  async function take(step: Step): Promise<void> {
    switch (step.kind) {
      case "file": {
        const path = `${checkout.directory}/${step.path}`;
        mkdirSync(dirname(path), { recursive: true });
        return writeFileSync(path, step.content);
      }
      case "edit": {
        const path = `${checkout.directory}/${step.path}`;
        const text = readFileSync(path, "utf8");
        expect(text, `${step.path} has these lines`).toContain(step.before);
        return writeFileSync(
          path,
          text.replace(step.before, () => step.after),
        );
      }
      case "run":
        return step.mode === "start" ? start() : run(step);
    }
  }

  async function start(): Promise<void> {
    const started = checkout.start(at.port, ...(simulated ? ["--simulated"] : []));
    await started.says("Ctrl-C stops it", 240_000);
  }

  /** In a shell that stops at the first command that fails. */
  async function run({ script, prints, mode }: Extract<Step, { kind: "run" }>): Promise<void> {
    const { BOILERHOUSE_KEY: _, ...inherited } = process.env;
    const { code, stdout, stderr } = await command("bash", ["-euo", "pipefail", "-c", script], {
      cwd: checkout.directory,
      env: { ...inherited, BOILERHOUSE_URL: `http://127.0.0.1:${at.port}` },
      timeoutMs: 240_000,
    });
    const said = `${script}\n${stdout}\n${stderr}`;
    if (mode === "fails") expect(code, said).not.toBe(0);
    else expect(code, said).toBe(0);
    for (const text of prints) expect(stdout + stderr, said).toContain(text);
  }
});
