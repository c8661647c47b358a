import { mutants } from "../test/simulation/mutants/run.ts";

process.exitCode = await mutants(process.argv.slice(2));
