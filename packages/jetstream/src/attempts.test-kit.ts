/** What a plain client tries, and beside it what it may: a test of the first alone could pass for any reason. */
export interface Attempts {
  readonly forbidden: Attempt;
  readonly allowed: Attempt;
}

interface Attempt {
  readonly how: 'publish' | 'subscribe' | 'api';
  readonly subject: string;
}

/** The member of each role is called as the inboxes in its table; run and attempt of the task stand there, too. */
export const ATTEMPTS = {
  user: table(`
    subscribe pm.order.ann | publish pm.order.lab-1
    publish pm.run.aaaaaaaaaaaa.task.a | publish pm.run.aaaaaaaaaaaa.graph
    publish pm.run.aaaaaaaaaaaa.end | publish pm.run.aaaaaaaaaaaa.control
    publish pm.run.aaaaaaaaaaaa.spawn.a | publish pm.drive.aaaaaaaaaaaa
    publish pm.run.aaaaaaaaaaaa.pin.x | publish pm.release.aaaaaaaaaaaa
    publish pm.offer.0123456789abcdef.aaaaaaaaaaaa.a | publish $KV.pm-secrets.r.p
    publish pm.log.aaaaaaaaaaaa.a.1 | publish pm.who
    publish $KV.pm-peers.lab-1 | api $JS.API.DIRECT.GET.KV_pm-peers
    publish $KV.pm-results.x | api $JS.API.STREAM.INFO.KV_pm-results
    publish $KV.pm-lanes.x | api $JS.API.STREAM.INFO.KV_pm-lanes
    publish $KV.pm-images.tag.x.y | api $JS.API.CONSUMER.CREATE.KV_pm-images.r1
    publish pm.answer.lab-1.x.1 | subscribe pm.answer.ann.x.1
    publish pm.keep.lab-1 | publish pm.relay.lab-1
    publish pm.released | publish $O.pm-artifacts.C.x
    subscribe pm.answer.bob.> | subscribe pm.answer.ann.>
    subscribe _INBOX.bob.> | subscribe _INBOX.ann.more.>
    subscribe pm.box | subscribe _INBOX.ann.box
    subscribe > | subscribe _INBOX.ann.>
    subscribe pm.run.> | api $JS.API.CONSUMER.CREATE.PM_RUN.r1
    api $JS.API.CONSUMER.CREATE.PM_OFFER.x | api $JS.API.CONSUMER.CREATE.PM_LOG.x
    api $JS.API.CONSUMER.MSG.NEXT.PM_OFFER.x | api $JS.API.CONSUMER.MSG.NEXT.PM_RUN.x
    api $JS.API.CONSUMER.CREATE.KV_pm-secrets.x | api $JS.API.STREAM.INFO.KV_pm-secrets
    api $JS.API.DIRECT.GET.KV_pm-secrets.$KV.pm-secrets.r.p | api $JS.API.INFO
    api $JS.API.STREAM.PURGE.PM_RUN | api $JS.API.STREAM.INFO.PM_RUN
    api $JS.API.STREAM.PURGE.OBJ_pm-artifacts | api $JS.API.STREAM.INFO.OBJ_pm-artifacts
    api $JS.API.STREAM.DELETE.PM_RUN | api $JS.API.STREAM.MSG.GET.PM_RUN
    api $JS.API.STREAM.CREATE.MINE | api $JS.API.STREAM.INFO.PM_LOG
    publish $JS.ACK.PM_OFFER.x.1.1.1.1.0 | publish $O.pm-artifacts.M.x
    publish $SYS.REQ.CLAIMS.UPDATE | publish pm.run.bbbbbbbbbbbb.graph
    publish pm.renew.lab-1 | publish pm.renew.user.ann
    publish pm.renew.ann | publish pm.run.cccccccccccc.graph
    publish pm.renew.user.lab-1 | publish pm.run.dddddddddddd.graph
    publish $KV.pm-sleepers.lab-1 | api $JS.API.DIRECT.GET.KV_pm-sleepers
  `),
  peer: table(`
    publish pm.run.aaaaaaaaaaaa.graph | publish pm.run.aaaaaaaaaaaa.task.a
    publish pm.run.aaaaaaaaaaaa.control | publish pm.run.aaaaaaaaaaaa.end
    publish $KV.pm-peers.lab-2 | publish $KV.pm-peers.lab-1
    subscribe pm.keep.lab-2 | subscribe pm.keep.lab-1
    subscribe $SRV.PING.podmesh-peer.lab-2 | subscribe $SRV.*.podmesh-peer.lab-1
    subscribe pm.relay.lab-2 | subscribe pm.relay.lab-1
    subscribe pm.order.lab-2 | subscribe pm.order.lab-1
    subscribe pm.answer.lab-2.> | subscribe pm.answer.lab-1.>
    subscribe _INBOX.> | subscribe _INBOX.lab-1.>
    publish _INBOX.ann.x | publish pm.answer.ann.x.1
    subscribe pm.run.> | api $JS.API.CONSUMER.CREATE.PM_RUN.r2
    api $JS.API.STREAM.PURGE.PM_RUN | api $JS.API.STREAM.PURGE.PM_OFFER
    api $JS.API.STREAM.PURGE.PM_DRIVE | api $JS.API.STREAM.INFO.PM_DRIVE
    api $JS.API.STREAM.PURGE.OBJ_pm-artifacts | api $JS.API.STREAM.MSG.GET.OBJ_pm-artifacts
    api $JS.API.STREAM.MSG.DELETE.PM_RUN | api $JS.API.STREAM.MSG.GET.PM_RUN
    api $JS.API.STREAM.DELETE.PM_OFFER | api $JS.API.STREAM.INFO.PM_OFFER
    api $JS.API.STREAM.UPDATE.PM_RUN | api $JS.API.STREAM.INFO.PM_RUN
    api $JS.API.STREAM.CREATE.PM_RUN | api $JS.API.INFO
    api $JS.API.CONSUMER.DELETE.PM_OFFER.x | api $JS.API.CONSUMER.DELETE.PM_RUN.x
    api $JS.API.CONSUMER.DELETE.PM_DRIVE.drives | api $JS.API.CONSUMER.INFO.PM_DRIVE.drives
    api $JS.API.STREAM.SNAPSHOT.PM_RUN | api $JS.API.DIRECT.GET.KV_pm-peers
    api $JS.API.STREAM.NAMES | api $JS.API.STREAM.INFO.PM_LOG
    publish pm.join.x | publish pm.box
    publish pm.renew.lab-2 | publish pm.renew.lab-1
    publish pm.renew.user.lab-1 | publish $KV.pm-sleepers.lab-2
    subscribe pm.renew.* | subscribe pm.order.lab-1
  `),
  anchor: table(`
    api $JS.API.STREAM.DELETE.PM_RUN | api $JS.API.STREAM.UPDATE.PM_RUN
    api $JS.API.STREAM.CREATE.OTHER | api $JS.API.STREAM.CREATE.PM_RUN
    api $JS.API.STREAM.PURGE.KV_pm-results | api $JS.API.STREAM.PURGE.OBJ_pm-artifacts
    publish pm.run.aaaaaaaaaaaa.graph | publish pm.run.aaaaaaaaaaaa.task.a
    publish $SYS.REQ.CLAIMS.UPDATE | subscribe pm.join.*
  `),
  system: table(`
    api $JS.API.ACCOUNT.PURGE.X | api $JS.API.META.LEADER.STEPDOWN
    publish pm.run.aaaaaaaaaaaa.graph | api $SYS.REQ.SERVER.PING
    api $JS.API.STREAM.INFO.PM_RUN | subscribe $SYS.ACCOUNT.>
  `),
  joiner: table(`
    publish pm.join.other | publish pm.join.ticket
    subscribe pm.join.> | subscribe _INBOX.ticket.>
    publish pm.run.aaaaaaaaaaaa.graph | subscribe pm.answer.ticket.x.1
    api $JS.API.INFO | subscribe _INBOX.ticket.more
    api $JS.API.STREAM.INFO.PM_RUN | subscribe _INBOX.ticket.again
  `),
  task: table(`
    publish pm.task.aaaaaaaaaaaa.b:3.C1.note | publish pm.task.aaaaaaaaaaaa.A_b-c:2.C1.GET.v1.me
    publish pm.task.aaaaaaaaaaaa.A_b-c:2.C2.GET.v1.me | publish pm.task.aaaaaaaaaaaa.A_b-c:2.C1.POST.v1.progress
    publish pm.task.bbbbbbbbbbbb.A_b-c:2.C1.note | subscribe pm.task.aaaaaaaaaaaa.A_b-c:2.C1.inbox.>
    subscribe pm.task.aaaaaaaaaaaa.> | subscribe pm.task.aaaaaaaaaaaa.A_b-c:2.C1.inbox.x
    subscribe pm.task.aaaaaaaaaaaa.A_b-c:2.C1.> | subscribe pm.task.aaaaaaaaaaaa.A_b-c:2.C1.inbox.y
    subscribe _INBOX.> | subscribe pm.task.aaaaaaaaaaaa.A_b-c:2.C1.inbox.x.*
    publish pm.run.aaaaaaaaaaaa.task.A_b-c:2 | publish pm.task.aaaaaaaaaaaa.A_b-c:2.C1.GET.v1.tasks.a
    api $JS.API.INFO | publish pm.task.aaaaaaaaaaaa.A_b-c:2.C1.GET.v1.a
    api $JS.API.STREAM.INFO.PM_RUN | publish pm.task.aaaaaaaaaaaa.A_b-c:2.C1.GET.v1.b
  `),
} as const;

function table(text: string): readonly Attempts[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const [forbidden = '', allowed = ''] = line.split('|').map((half) => half.trim());
    return { forbidden: attempt(forbidden), allowed: attempt(allowed) };
  });
}

function attempt(text: string): Attempt {
  const [how, subject] = text.split(' ');
  if ((how !== 'publish' && how !== 'subscribe' && how !== 'api') || subject === undefined)
    throw new TypeError(`no attempt: ${text}`);
  return { how, subject };
}
