"""Labels from annotators and teachers, and the committed split."""

import numpy as np

from facemask.finder import collect

NO_BOX, UNSEEN = np.empty((0, 4)), np.empty((0, 5))


def test_a_face_is_what_was_annotated_or_what_both_teachers_see():
    annotated = np.array([[10, 10, 20, 20.0]])
    yunet = np.array([[11, 11, 20, 20, 0.9], [50, 50, 20, 20, 0.6], [90, 90, 20, 20, 0.3],
                      [150, 10, 20, 20, 0.8], [200, 10, 20, 20, 0.25]])
    centre = np.array([[52, 50, 20, 20, 0.5], [90, 90, 20, 20, 0.3], [250, 50, 20, 20, 0.4]])
    faces, unsure = collect.label(annotated, [yunet, centre])
    assert faces.tolist() == [[10, 10, 20, 20], [51, 50, 20, 20]]
    # Both but faintly; YuNet alone, well; CenterFace alone. Not: YuNet alone and faintly.
    assert sorted(unsure[:, 0]) == [90, 150, 250]
    faces, unsure = collect.label(NO_BOX, [UNSEEN, UNSEEN])
    assert faces.shape == unsure.shape == (0, 4)


def test_a_part_of_an_annotated_face_is_no_other_face():
    annotated = np.array([[0, 0, 100, 100.0]])
    eye = np.array([[20, 20, 20, 20, 0.9]])
    faces, unsure = collect.label(annotated, [eye, eye])
    assert len(faces) == 1 and not len(unsure)


def test_boxes_are_refitted_as_the_annotators_draw():
    annotated = np.array([[0, 0, 20, 40.0], [100, 0, 20, 40]])
    seen = np.array([[-2, -6, 20, 40, 0.9], [98, -6, 20, 40, 0.9], [300, 300, 9, 9, 0.9]])
    by = collect.fit([(annotated, seen)])
    assert np.allclose(collect.refit(seen, by)[:2, :4], annotated)


def test_only_a_picture_with_one_clear_face_is_kept():
    assert collect._only_face([]) is None
    assert collect._only_face([[1, 2, 3, 4, 0.5]]) is None
    assert collect._only_face([[1, 2, 3, 4, 0.9], [9, 9, 3, 4, 0.5]]) is None
    assert collect._only_face([[1, 2, 3, 4, 0.9], [9, 9, 3, 4, 0.25]]).tolist() == [[1, 2, 3, 4]]


def test_pictures_are_kept_and_read_back(tmp_path):
    import cv2

    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    faces = np.array([[1, 2, 3, 4.0]])
    picture = collect.Picture("street/a.png", "train", faces, NO_BOX, 1)
    collect._write(tmp_path, [(tmp_path / "a.png", picture)] * 2, [])
    for shown, labels in collect.read(tmp_path):
        assert (shown == image).all() and labels.faces.tolist() == faces.tolist()
        assert labels.name == "street/a.png" and labels.annotated == 1
