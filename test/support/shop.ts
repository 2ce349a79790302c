/** The compose file of compose.test.ts. */
/** Three services (the image that is built must not pass for the one that it is made from): one that becomes healthy, one that waits for it, one that is built. */
export function shop(project: string, image: string, webText: string): string {
  return `
name: ${project}
services:
  db:
    image: ${image}
    entrypoint: [/bin/busybox, sh, -c]
    command: ['echo "password $$PASSWORD"; : > /data/ready; exec /bin/busybox sleep 600']
    environment:
      PASSWORD: \${DB_PASSWORD:?give one}
    volumes: [data:/data]
    stop_grace_period: 0s
    healthcheck:
      test: [CMD, /bin/busybox, test, -f, /data/ready]
      interval: 1s
  web:
    image: ${image}
    entrypoint: [/bin/busybox, sh, -c]
    command: ['echo ${webText}; exec /bin/busybox sleep 600']
    depends_on:
      db: { condition: service_healthy }
    networks:
      default:
      back: { aliases: [www] }
    ports: ["80"]
    configs: [greeting]
    stop_grace_period: 0s
    logging: { driver: json-file, options: { max-size: 1m } }
    ulimits: { nofile: { soft: 64, hard: 128 } }
    security_opt: ["no-new-privileges:true"]
    deploy: { resources: { limits: { memory: 64m, cpus: "0.5", pids: 20 } } }
  job:
    build:
      args: { TOKEN: "\${DB_PASSWORD}" }
      dockerfile_inline: |
        FROM ${image}
        ARG TOKEN
        RUN ["/bin/busybox", "sh", "-c", "echo built with $$TOKEN"]
        LABEL linkspan.test.compose=${project} linkspan.test.image=${project}
    entrypoint: [/bin/busybox, sleep, "600"]
    stop_grace_period: 0s
    init: true
networks:
  back: { internal: true }
volumes:
  data:
configs:
  greeting: { content: hello }
`;
}
