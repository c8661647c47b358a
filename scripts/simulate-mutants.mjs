import { run } from "./bootstrap.mjs";

run("simulate-mutants");
