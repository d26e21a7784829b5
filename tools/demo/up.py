"""From nothing to a closed loop."""

from tools.cluster.progress import say
from tools.demo import choice, closing, clusters, install, story
from tools.demo.choice import Wish
from tools.demo.images import prepare_images
from tools.demo.watch import Watch


def run(wish: Wish) -> None:
    """Find or make a cluster, install everything, and play the loop.

    Raises:
        NoChoice: the user must decide something first.
        ClusterError: a step failed; says which, why, and where the log is.
    """
    kind = choice.choose(wish, choice.Machine.look())
    say(closing.opening(kind))
    place = clusters.bring_up(kind, wish)
    images = clusters.put_images(place, wish, prepare_images())
    kubectl = place.kubectl()
    story.claim_namespace(kubectl, install.SYSTEM, fresh=False)
    install.install_chart(kubectl, images)
    story.prepare(kubectl, images)
    story.play(Watch(kubectl, closing.NAMESPACE), images)
    print(closing.closing(place))
