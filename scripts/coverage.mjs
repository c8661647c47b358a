import { run } from "./bootstrap.mjs";

run("coverage");
