import { play } from "./play.ts";

play("modern");
