import { processIo } from "./io.ts";
import { run } from "./run.ts";

process.stdout.on("error", () => process.exit()); // whoever read it has enough (`| head`)
process.exitCode = await run(process.argv.slice(2), processIo);
