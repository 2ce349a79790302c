import { play } from "./play.ts";

play("legacy");
