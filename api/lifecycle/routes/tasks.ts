/** The training protocol of our own devices (docs/design/learning.md "Task protocol"). Idempotent, so no Idempotency-Key. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { abortTask } from '../../../commands/abortTask.ts';
import { admitUpdate } from '../../../commands/admitUpdate.ts';
import { checkTask, type HeldTask } from '../../../commands/heldTask.ts';
import { leaseTask, type TrainingTask } from '../../../commands/leaseTask.ts';
import { LifecycleError } from '../../../domain/errors.ts';
import { refusalError } from '../../../domain/refusal.ts';
import type { Receipt } from '../../../store/rounds/roundStore.ts';
import { whoAsks } from '../../access/principal.ts';
import type { App } from '../../app.ts';
import type { ApiDeps } from '../../context.ts';
import { existingDevice } from '../../knownDevice.ts';
import { OWN_PREFIX, retryWindow } from '../../http/problem.ts';
import { AbortTask, CheckIn, CheckInAnswer, TaskAborted, UpdateReceipt, type Task } from '../../../wire/task.ts';
import { TaskParams } from './params.ts';

const tags = ['training devices'];
const takesPart = { scope: 'training:participate', repeatable: true } as const;

/** When a device should come back, by why there was nothing for it: soon while rounds turn over, later where it is done. */
const RETRY_MS: Readonly<Record<string, readonly [min: number, max: number]>> = {
  no_round: [1_000, 3_000],
  round_full: [1_000, 3_000],
  already_contributed: [500, 1_500],
  run_paused: [5_000, 15_000],
  round_closed: [500, 1_500],
  lease_expired: [500, 1_500],
  task_ended: [500, 1_500],
  per_device_limit: [500, 1_500],
};

/** `EdgeML-Reason`, and `EdgeML-Retry` where the device should return. */
function advise(reply: FastifyReply, reason: string): { min_ms: number; max_ms: number } | null {
  reply.header('edgeml-reason', reason);
  const retry = RETRY_MS[reason];
  if (!retry) return null;
  reply.header('edgeml-retry', retryWindow(retry));
  return { min_ms: retry[0], max_ms: retry[1] };
}

export async function taskRoutes(app: App, deps: ApiDeps): Promise<void> {
  app.post('/training/checkin', {
    config: takesPart,
    schema: { tags, body: CheckIn, response: { 200: CheckInAnswer } },
    handler: async (request, reply) => {
      const { device_id: deviceId, runs } = request.body; // an id of ours, or the device's own identifier
      const { orgId } = whoAsks(request);
      const device = await existingDevice(deps, request, deviceId);
      let reason = 'no_round';
      for (const runId of runs ?? [undefined]) {
        const leased = await leaseTask(deps.commands, {
          deviceId: device.id,
          orgId,
          ...(runId === undefined ? {} : { runId }),
        });
        if (leased.task) {
          reply.header('edgeml-reason', 'task');
          return { task: taskView(deps, leased.task), retry: null };
        }
        reason = leased.reason;
      }
      return { task: null, retry: advise(reply, reason), reason };
    },
  });

  app.head('/training/tasks/:task', {
    config: takesPart,
    schema: { tags, params: TaskParams },
    handler: async (request, reply) => {
      await advised(reply, () => checkTask(deps.commands, heldBy(request)));
      return reply.header('edgeml-reason', 'wanted').code(200).send();
    },
  });

  app.post('/training/tasks/:task/abort', {
    config: takesPart,
    schema: { tags, params: TaskParams, body: AbortTask, response: { 200: TaskAborted } },
    handler: async (request, reply) => {
      const { phase, reason } = request.body;
      await advised(reply, () => abortTask(deps.commands, { ...heldBy(request), phase, reason }));
      return { task_id: request.params.task, aborted: true as const };
    },
  });

  await app.register((scoped: App) => {
    scoped.removeAllContentTypeParsers();
    scoped.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
    scoped.put('/training/tasks/:task/update', {
      config: { ...takesPart, upload: true },
      bodyLimit: deps.maxUploadBytes,
      schema: {
        tags,
        description: 'A safetensors file. 201 the first time, 200 on a repeat with the same digest, the same receipt.',
        consumes: ['application/octet-stream'],
        params: TaskParams,
        response: { 200: UpdateReceipt, 201: UpdateReceipt },
      },
      handler: (request, reply) => advised(reply, () => takeUpdate(deps, request, reply)),
    });
    return Promise.resolve();
  });
}

interface TaskRequest extends FastifyRequest {
  readonly params: { readonly task: string };
}

/** @throws LifecycleError `lease_invalid` without the header */
function heldBy(request: FastifyRequest<{ Params: { task: string } }> | TaskRequest): HeldTask {
  const lease = request.headers['edgeml-lease'];
  if (typeof lease === 'string' && lease !== '') {
    const { orgId, device } = whoAsks(request);
    return { taskId: request.params.task, orgId, lease, ...(device ? { deviceId: device.id } : {}) };
  }
  throw new LifecycleError('lease_invalid', 'EdgeML-Lease is missing. Send the lease that the check-in answered.');
}

/** A refusal carries its code, and when to return, in headers too: devices read those before any body. */
async function advised<T>(reply: FastifyReply, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof LifecycleError) advise(reply, error.code);
    throw error;
  }
}

async function takeUpdate(deps: ApiDeps, request: TaskRequest, reply: FastifyReply): Promise<UpdateReceipt> {
  const held = heldBy(request);
  const digest = digestOf(request.headers['repr-digest']);
  const most = deps.maxUploadBytes;
  const outcome = await deps.uploads.receive(request, reply, most, (body) =>
    admitUpdate(deps.commands, { ...held, body, digest, most }),
  );
  deps.metrics.updates.inc({ outcome: outcome.outcome === 'refused' ? outcome.refusal.code : outcome.outcome });
  if (outcome.outcome === 'refused') throw refusalError(outcome.refusal);
  reply.code(outcome.outcome === 'accepted' ? 201 : 200).header('edgeml-reason', outcome.outcome);
  return receiptView(outcome.receipt);
}

/** Hex SHA-256 of `Repr-Digest: sha-256=:<base64>:`; null without the header. @throws LifecycleError `invalid_input` */
function digestOf(header: string | string[] | undefined): string | null {
  if (header === undefined) return null;
  const found = /(?:^|,\s*)sha-256=:([A-Za-z0-9+/]{43}=):/.exec(Array.isArray(header) ? header.join(',') : header);
  if (found) return Buffer.from(found[1]!, 'base64').toString('hex');
  throw new LifecycleError('invalid_input', 'Repr-Digest must be sha-256=:<base64 of 32 bytes>:.', {
    errors: [{ pointer: '/headers/repr-digest', detail: 'must be sha-256=:<base64>:' }],
  });
}

const receiptView = (receipt: Receipt): UpdateReceipt => ({
  update_sha: receipt.updateSha,
  round_id: receipt.roundId,
  weight: receipt.weight,
  samples: receipt.samples,
  accepted_at: new Date(receipt.acceptedAt).toISOString(),
});

function taskView(deps: ApiDeps, task: TrainingTask): Task {
  const { round, base, upload } = task;
  return {
    task_id: task.taskId,
    lease: task.lease,
    lease_expires: new Date(task.expiresAt).toISOString(),
    round_id: round.roundId,
    run_id: round.runId,
    model_id: round.modelId,
    plan: { ...round.plan.client, seed: task.planSeed },
    base: { ...base, url: deps.links.sign(base.sha256, `${round.baseLabel}.safetensors`, Date.now()).url },
    upload: {
      url: `${deps.publicUrl}${OWN_PREFIX}/training/tasks/${task.taskId}/update`,
      max_bytes: upload.maxBytes,
      tensors: upload.tensors.map(({ name, shape }) => ({ name, shape: [...shape] })),
    },
  };
}
