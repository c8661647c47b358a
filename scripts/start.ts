import { containerEnvironment } from "./container/environment.ts";
import { LOCAL, ROOT } from "./paths.ts";
import { createDemo, DEMO_POOL } from "./stack/demo.ts";
import { writeDevVars } from "./stack/dev-vars.ts";
import { makeRoom, type Stack, startStack } from "./stack/stack.ts";
import { main, note, step, Unusable } from "./steps.ts";

/** `npm start [-- --simulated]`: the whole system on this machine, on $PORT (8787), until Ctrl-C. */
await main(async () => {
  const port = portOf(process.env.PORT ?? "8787");
  const stateDir = `${LOCAL}/dev`;
  await step(`Port ${port}: nothing else may listen on it`, () => makeRoom(stateDir, port));
  const varsFile = `${ROOT}/.dev.vars`;
  await step("Secrets of this checkout: .dev.vars", async () => {
    note(writeDevVars(varsFile) ? "written with fresh random values (mode 0600)" : "there already, left as it is");
  });
  const simulated = process.argv.includes("--simulated") || !(await containersAreReady());

  const stack = await step("Starting wrangler dev: the Worker, its Durable Objects, D1 and R2, all local", () =>
    startStack({ stateDir, port, simulated, varsFile, vars: { DEMO_POOL } }),
  );
  const stopped = stopOnRequest(stack);
  await step("Creating the demo workload and its pool of warm containers", () => createDemo(stack));
  await step("Waiting until the pool is warm (/ready)", () => stack.waitFor("/ready", 180_000));
  welcome(stack);
  await stopped;
});

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw new Unusable(`PORT=${text} is not a port: choose a number from 1 to 65535.`);
}

async function containersAreReady(): Promise<boolean> {
  try {
    await step("Container engine and images: tenants run in containers", containerEnvironment);
    return true;
  } catch (problem) {
    const reason = problem instanceof Error ? problem.message : String(problem);
    const line = "─".repeat(100);
    console.log(`${line}\nNO CONTAINERS: ${reason}\nRunning the same system on SIMULATED containers instead.\n${line}`);
    return false;
  }
}

/** Ctrl-C, an end of whoever started us, or the end of wrangler: each stops everything. Resolves when all is gone. */
function stopOnRequest(stack: Stack): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false;
    const stop = (why: string, code: number) => {
      if (stopping) return;
      stopping = true;
      console.log(`\n▸ ${why}: stopping, and removing the containers`);
      process.exitCode = code;
      void stack.stop().then(() => {
        resolve();
        process.exit(code);
      });
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal, 0));
    process.on("disconnect", () => stop("Whoever started this has gone", 1));
    void stack.ended.then(() => {
      if (!stopping) console.error(`wrangler has ended; the end of ${stack.logFile}:\n${stack.logTail()}`);
      stop("wrangler has ended", 1);
    });
  });
}

function welcome(stack: Stack): void {
  const key = `-H "Authorization: Bearer ${stack.adminKey}"`;
  console.log(`
Boilerhouse is ready on ${stack.url} (and http://localhost:${stack.port})
Admin key: ${stack.adminKey}
Log: ${stack.logFile}

Try it: claim a container for alice, put a file into it, ask for her status.
  curl -X POST ${key} -H "Content-Type: application/json" -d '{"poolId":"${DEMO_POOL}"}' "${stack.url}/api/v1/tenants/alice/claim?wait=60s"
  curl -T README.md ${key} ${stack.url}/t/alice/files/README.md
  curl ${key} ${stack.url}/api/v1/tenants/alice/status

Ctrl-C stops it and removes its containers.`);
}
