# Server and worker in one image; the command says which. glibc, not Alpine: Temporal's and ONNX Runtime's native modules need it.
FROM node:20.20-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The postinstall of onnxruntime-node fetches GPU libraries that we do not use.
RUN ONNXRUNTIME_NODE_INSTALL=skip npm ci --omit=dev --no-audit --no-fund

FROM node:20.20-bookworm-slim AS build
WORKDIR /app
COPY . .
# It installs what it needs to build.
RUN npm run build

FROM node:20.20-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
  && mkdir -p /var/lib/edgeml && chown node:node /var/lib/edgeml
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/dist ./
USER node
VOLUME /var/lib/edgeml
EXPOSE 7400 7423
# One program, which gets the signals itself.
ENTRYPOINT ["node", "--enable-source-maps"]
CMD ["server.js"]
