import { errorsMarkdown } from "../src/errors/pages.ts";
import { generate } from "./generated.ts";

/** docs/errors.md, from the catalogue of problems. */
generate("docs/errors.md", errorsMarkdown());
