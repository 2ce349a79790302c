import { play } from "./play.ts";

play("dual");
