import { simulate } from "../test/simulation/simulate.ts";

process.exitCode = await simulate(process.argv.slice(2));
